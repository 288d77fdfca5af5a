"""A board as one HTML file that needs no network: styles, script and data inside.

Nothing in the file can reach out: the content security policy allows its own style and script by
hash, and nothing else. Data stands in the file as JSON, and the script inserts it as text only.
"""

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from cerberus_bench import __version__
from cerberus_bench.leaderboard.compare import Board
from cerberus_bench.leaderboard.content import board_content

if TYPE_CHECKING:
    from jinja2 import Template

SCRIPTS = ("dom.js", "charts.js", "csv.js", "views.js", "board.js")
"""In the order in which they are joined: the first know nothing of the last."""
TITLE = "cerberus-bench leaderboard"


def to_html(board: Board) -> str:
    """The page of a board: sortable tables, whiskers, differences, published figures."""
    from markupsafe import Markup

    style = _shared_style() + _asset("board.css")
    script = "".join(["'use strict';\n(() => {\n", *map(_asset, SCRIPTS), "})();\n"])
    return _template().render(
        title=TITLE,
        version=__version__,
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        data=Markup(_json_in_html(board)),
    )


def _shared_style() -> str:
    """The style of the reports, in a layer that anything here overrules."""
    shared = files("cerberus_bench.pictures").joinpath("templates/style.css")
    return f"@layer shared {{\n{shared.read_text(encoding='utf-8')}}}\n"


def _json_in_html(board: Board) -> str:
    """JSON in which no `<` is left that could end the element around it."""
    text = json.dumps(
        board_content(board), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _asset(name: str) -> str:
    folder = files("cerberus_bench.leaderboard").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("board.html"))
