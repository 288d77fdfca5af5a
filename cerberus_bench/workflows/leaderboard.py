"""`leaderboard`: a folder of results as a comparison of models."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cerberus_bench.leaderboard import (
    Board,
    leaderboard,
    to_csv,
    to_html,
    to_json,
    to_markdown,
    to_terminal,
)
from cerberus_bench.pictures import write_page

RENDERERS: Mapping[str, Callable[[Board], Any]] = {
    "terminal": to_terminal,
    "markdown": to_markdown,
    "json": to_json,
    "csv": to_csv,
}
"""Form -> renderer; `terminal` gives something that `rich` prints, the others text."""


def render_board(results: Path, form: str) -> Any:
    """Read a folder of results and render the comparison.

    Raises:
        DataError: a file is no valid result, or results contradict each other.
    """
    return RENDERERS[form](leaderboard(results))


def write_board_page(results: Path, out: Path) -> Path:
    """Read a folder of results and write the comparison as one HTML file.

    Raises:
        DataError: as `render_board`.
    """
    return write_page(to_html(leaderboard(results)), out)
