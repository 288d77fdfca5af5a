"""`submit`: results offered to a repository of results, as a pull request."""

from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_bench.schema.errors import DataError

if TYPE_CHECKING:
    from cerberus_bench.hub.propose import Proposal
    from cerberus_bench.leaderboard.store import StoredResult
    from cerberus_bench.schema.result import ResultRecord


def submit(results: Path, repo: str) -> "Proposal":
    """Open a pull request with a result, its counts beside it, at the path that it must have.

    Args:
        results: a result file, or a folder of them.
        repo: ORG/NAME, a dataset repository that holds results.

    Raises:
        DataError: a file is no valid result of this protocol, breaks an invariant of its scores,
            or lacks the counts of its images or contradicts them; or there is no such repository.
        HubError: the Hub failed.
    """
    from cerberus_bench.hub.places import parse_place
    from cerberus_bench.hub.propose import propose
    from cerberus_bench.hub.result_files import result_files

    place = parse_place(repo)
    if place.revision:
        raise DataError(f"{repo}: results are offered to the main branch; leave out the revision")
    found = _read(results)
    for stored in found:
        _check_complete(stored.path, stored.record)
    first = found[0].record
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    title = f"Result of {first.model.name} on {first.data.name}, {first.data.split}{more}"
    lines = "\n".join(_line(stored.record) for stored in found)
    return propose(place.repo, "dataset", result_files(found), title, lines)


def _read(results: Path) -> list["StoredResult"]:
    """Results, each checked as the board would."""
    from cerberus_bench.leaderboard.store import read_result_file, read_results

    return read_results(results) if results.is_dir() else [read_result_file(results)]


def _check_complete(path: Path, record: "ResultRecord") -> None:
    """Refuse what a board could not rank: another protocol, no counts, counts of another run."""
    from cerberus_bench.eval.invariants import check_image_counts
    from cerberus_bench.eval.protocol import PROTOCOL_VERSION
    from cerberus_bench.leaderboard.counts import counts_path, read_counts

    version = record.report.protocol_version
    if version != PROTOCOL_VERSION:
        raise DataError(
            f"{path}: protocol {version}, but results are taken by protocol {PROTOCOL_VERSION};"
            " evaluate again."
        )
    counts = counts_path(path)
    check_image_counts(record.report, read_counts(counts), str(counts))


def _line(record: "ResultRecord") -> str:
    data, model = record.data, record.model
    variant = f", {model.variant}" if model.variant else ""
    return (
        f"- {model.name}{variant} ({model.file_sha256 or 'no model file'}) on {data.name}"
        f" {data.version}, split {data.split}, fold {data.fold},"
        f" fingerprint {data.fingerprint[:12]}:"
        f" {record.contamination.status}"
    )
