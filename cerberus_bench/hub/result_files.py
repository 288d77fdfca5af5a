"""Where results lie in a repository."""

from collections.abc import Iterable

from cerberus_bench.hub.publish import LocalFile
from cerberus_bench.leaderboard.counts import counts_path
from cerberus_bench.leaderboard.store import StoredResult

RESULTS_FOLDER = "results"


def result_files(stored: Iterable[StoredResult]) -> dict[str, LocalFile]:
    """Path in a repository -> file: every result, and its counts where they lie beside it."""
    files = {}
    for one in stored:
        place = RESULTS_FOLDER / one.record.relative_path()
        files[place.as_posix()] = LocalFile(one.path)
        if counts_path(one.path).is_file():
            files[counts_path(place).as_posix()] = LocalFile(counts_path(one.path))
    return files
