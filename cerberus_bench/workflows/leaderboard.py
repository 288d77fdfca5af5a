"""`leaderboard`: a folder of results as a comparison of models."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.hub import PREFIX, parse_place
from cerberus_bench.leaderboard import (
    Board,
    Duel,
    kinds_json,
    kinds_markdown,
    kinds_terminal,
    leaderboard,
    single_against_multi,
    to_csv,
    to_html,
    to_json,
    to_markdown,
    to_terminal,
)
from cerberus_bench.pictures import write_page
from cerberus_bench.schema.errors import DataError

if TYPE_CHECKING:
    from cerberus_bench.hub.publish import Published

RENDERERS: Mapping[str, Callable[[Board], Any]] = {
    "terminal": to_terminal,
    "markdown": to_markdown,
    "json": to_json,
    "csv": to_csv,
}
"""Form -> renderer; `terminal` gives something that `rich` prints, the others text."""
KIND_RENDERERS: Mapping[str, Callable[[Sequence[Duel]], Any]] = {
    "terminal": kinds_terminal,
    "markdown": kinds_markdown,
    "json": kinds_json,
}
"""The same for single-task against multi-task networks; `json` gives plain rows."""


def find_results(results: Path) -> Path:
    """A folder of results as it is, or the results of `hf:ORG/NAME[@revision]`, pulled.

    Raises:
        DataError: there is no such repository, or it holds no results.
        HubError: the Hub cannot be reached, and the results were not pulled before.
    """
    if not str(results).startswith(PREFIX):
        return results
    from cerberus_bench.hub.pull import snapshot
    from cerberus_bench.hub.result_files import RESULTS_FOLDER

    place = parse_place(str(results))
    folder = snapshot(place, "dataset", (f"{RESULTS_FOLDER}/*",)) / RESULTS_FOLDER
    if not folder.is_dir():
        raise DataError(
            f"{place} has no folder {RESULTS_FOLDER}/, so it is no repository of results"
        )
    return folder


def render_board(results: Path, form: str) -> Any:
    """Read results (a folder, or `hf:ORG/NAME`) and render the comparison.

    Raises:
        DataError: a file is no valid result, or results contradict each other.
    """
    return RENDERERS[form](leaderboard(find_results(results)))


def render_kinds(results: Path, form: str) -> Any:
    """Read results and render single-task against multi-task networks of the same seeds.

    Args:
        results: a folder, or `hf:ORG/NAME`.
        form: terminal, markdown or json.

    Raises:
        DataError: as `render_board`; or nothing there can be compared so.
    """
    duels = single_against_multi(find_results(results))
    if not duels:
        raise DataError(
            f"{results}: no single-task and multi-task networks of the same seeds on the same data."
            " `cerberus-bench experiment stl-vs-mtl` makes them."
        )
    return KIND_RENDERERS[form](duels)


def write_board_page(results: Path, out: Path) -> Path:
    """Read a folder of results and write the comparison as one HTML file.

    Raises:
        DataError: as `render_board`.
    """
    return write_page(to_html(leaderboard(find_results(results))), out)


def push_board(results: Path, repo: str, *, private: bool = False) -> "Published":
    """Publish the comparison as a static Space: its page and the results behind it.

    A Space that holds the same already gets no commit.

    Args:
        results: folder of results, or `hf:ORG/NAME[@revision]`.
        repo: ORG/SPACE; made if it does not exist.
        private: make a new Space private.

    Raises:
        DataError: as `render_board`; the page is not fit to be published; or the Space holds
            something else.
        HubError: the Hub failed; what was transferred is not sent again.
    """
    from cerberus_bench.hub.board_release import board_release, check_is_board
    from cerberus_bench.hub.publish import Target, publish
    from cerberus_bench.leaderboard.store import read_results

    place = parse_place(repo)
    if place.revision:
        raise DataError(f"{repo}: a board is pushed to the main branch; leave out the revision")
    folder = find_results(results)
    page = to_html(leaderboard(folder))
    release = board_release(page, read_results(folder), Target(repo=place.repo, private=private))
    check_is_board(place.repo)
    return publish(release)
