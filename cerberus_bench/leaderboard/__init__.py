"""The leaderboard: a pure function of a folder of results."""

from cerberus_bench.leaderboard.compare import Board, leaderboard
from cerberus_bench.leaderboard.kinds import (
    Duel,
    kinds_json,
    kinds_markdown,
    kinds_terminal,
    single_against_multi,
)
from cerberus_bench.leaderboard.page import to_html
from cerberus_bench.leaderboard.render import (
    board_rows,
    to_csv,
    to_json,
    to_markdown,
    to_terminal,
)

__all__ = [
    "Board",
    "Duel",
    "board_rows",
    "kinds_json",
    "kinds_markdown",
    "kinds_terminal",
    "leaderboard",
    "single_against_multi",
    "to_csv",
    "to_html",
    "to_json",
    "to_markdown",
    "to_terminal",
]
