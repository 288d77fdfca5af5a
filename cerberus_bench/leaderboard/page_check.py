"""Whether a page may be published: it holds a board, and can reach nothing outside itself."""

import base64
import hashlib
import json
from html.parser import HTMLParser

from cerberus_bench.schema.errors import DataError

MAX_PAGE_BYTES = 20_000_000
DATA_ID = "board"
"""Id of the element that holds the board as JSON."""
_LOADING = ("src", "srcset", "action", "formaction", "poster", "background", "data", "style")
"""Attributes that fetch, send or style from outside the hashed sheet, on whatever element."""
_POLICY = "content-security-policy"


def check_page(html: str, source: str) -> None:
    """Refuse a page that is no board, or that a browser would let reach outside itself.

    Args:
        html: the whole file, as `to_html` gives it.
        source: what it was made from, for messages.

    Raises:
        DataError: it is too large, lacks a strict content security policy, holds a script or style
            that the policy does not name by hash, loads something, or holds no board.
    """
    fault = _fault(html)
    if fault:
        raise DataError(
            f"the page of {source} is not published: {fault}. `cerberus-bench leaderboard RESULTS"
            " --html FILE` writes it to be looked at."
        )


def _fault(html: str) -> str | None:
    size = len(html.encode("utf-8"))
    if size > MAX_PAGE_BYTES:
        return f"it has {size:,} bytes, more than {MAX_PAGE_BYTES:,}; publish fewer results"
    page = _Elements()
    page.feed(html)
    page.close()
    return page.loading or _policy_fault(page) or _data_fault(page)


def _policy_fault(page: "_Elements") -> str | None:
    if len(page.policies) != 1:
        return f"it has {len(page.policies)} content security policies, not one"
    rules = dict(rule.split(maxsplit=1) for rule in page.policies[0].split("; "))
    if rules.get("default-src") != "'none'" or "unsafe" in page.policies[0]:
        return "its content security policy lets it reach outside itself"
    for kind, texts in (("style", page.styles), ("script", page.scripts)):
        allowed = rules.get(f"{kind}-src", "").split()
        if any(f"'{_hash(text)}'" not in allowed for text in texts):
            return f"its content security policy does not name a {kind} of it by hash"
    return None


def _data_fault(page: "_Elements") -> str | None:
    if len(page.data) != 1:
        return f"it holds {len(page.data)} boards, not one"
    try:
        board = json.loads(page.data[0])
    except ValueError as error:
        return f"its board is no JSON ({error})"
    if not isinstance(board, dict) or not board.get("tables"):
        return "its board has no table"
    return None


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


class _Elements(HTMLParser):
    """What of a page can run, style, load or hold the board."""

    def __init__(self) -> None:
        super().__init__()
        self.policies: list[str] = []
        self.styles: list[str] = []
        self.scripts: list[str] = []
        self.data: list[str] = []
        self.loading: str | None = None
        """The first thing that loads, said for a message."""
        self._open: list[str] | None = None
        """The list whose last text is being read."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta" and given.get("http-equiv", "").lower() == _POLICY:
            self.policies.append(given.get("content", ""))
        elif tag == "meta" and given.get("http-equiv"):
            self.loading = self.loading or f"<meta http-equiv={given['http-equiv']}>"
        self._note_loading(tag, given)
        if tag == "style":
            self._open = self.styles
        elif tag == "script":
            is_data = given.get("type") == "application/json" and given.get("id") == DATA_ID
            self._open = self.data if is_data else self.scripts
        if self._open is not None:
            self._open.append("")

    def _note_loading(self, tag: str, given: dict[str, str]) -> None:
        found = [name for name in given if name in _LOADING or name.startswith("on")]
        if "href" in given and tag != "a":
            found.append("href")
        if found:
            self.loading = self.loading or f"<{tag}> has the attribute {found[0]}"

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._open = None
