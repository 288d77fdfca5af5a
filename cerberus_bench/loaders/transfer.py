"""One file from one address: ranges, interruptions and what a server may get wrong."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from cerberus_bench import __version__
from cerberus_bench.schema.errors import DataError

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all (0 = unknown), and the name of the file."""

TRIES = 4
"""Attempts in a row that bring no byte before a mirror is given up."""
TIMEOUT = 60.0
"""Seconds without an answer after which a connection counts as broken."""
FIRST_WAIT = 1.0
"""Seconds before the second attempt; each further one waits twice as long."""
LONGEST_WAIT = 60.0
CHUNK = 1 << 20

_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
_RANGE_WRONG = 416
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)$")


class MirrorError(Exception):
    """A mirror does not give the file; another may."""


class _BrokenOffError(Exception):
    """The transfer broke off; another attempt may go on."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait
        """Seconds that the server asks for."""


class Draft:
    """A file as far as it was received, and whose it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts = path.with_name(f"{path.name}.json")

    @property
    def size(self) -> int:
        """Bytes received."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self, url: str) -> str | None:
        """What proves to a server that its file is still the one begun here; None if nothing."""
        try:
            facts = json.loads(self._facts.read_bytes())
            return str(facts["validator"]) if facts["url"] == url and facts["validator"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, url: str, validator: str | None) -> None:
        """Empty the draft and note whose bytes will fill it."""
        self.path.write_bytes(b"")
        self._facts.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def forget(self) -> None:
        """Remove what was noted."""
        self._facts.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what was received."""
        self.path.unlink(missing_ok=True)
        self.forget()


def download(
    url: str,
    draft: Draft,
    report: Callable[[int, int], None],
    *,
    n_bytes: int | None = None,
    is_hash_known: bool = False,
) -> None:
    """Fill a draft from an address, going on where it or an earlier run broke off.

    Args:
        url: http or https.
        draft: what was received so far.
        report: told bytes done and bytes in all (0 = unknown).
        n_bytes: size that the file must have; None where it is not known.
        is_hash_known: the caller will check a hash, so that bytes of any mirror may be continued;
            otherwise only those that the server vouches for (If-Range).

    Raises:
        MirrorError: this address does not give the file.
        DataError: the disk is full.
    """
    fruitless = 0
    while True:
        before = draft.size
        try:
            _attempt(url, draft, report, n_bytes, is_hash_known)
            return
        except _BrokenOffError as error:
            fruitless = 0 if draft.size > before else fruitless + 1
            if fruitless >= TRIES:
                raise MirrorError(str(error)) from None
            time.sleep(min(LONGEST_WAIT, max(error.wait, FIRST_WAIT * 2**fruitless / 2)))


def host_of(url: str) -> str:
    """Host and port of an address."""
    return urlsplit(url).netloc


def _attempt(
    url: str,
    draft: Draft,
    report: Callable[[int, int], None],
    n_bytes: int | None,
    is_hash_known: bool,
) -> None:
    validator = draft.validator(url)
    start = draft.size if validator or is_hash_known else 0
    if start and start == n_bytes:
        return
    with _open(url, start, validator) as answer:
        start, total = _place(answer, start)
        if total and n_bytes is not None and total != n_bytes:
            raise MirrorError(f"has {total} bytes instead of {n_bytes}")
        if not start:
            _refuse_page(answer, url)
            draft.begin(url, _validator_of(answer))
        _refuse_full_disk(draft, total - start)
        _receive(answer, draft, total, n_bytes, report)


def _open(url: str, start: int, validator: str | None) -> HTTPResponse:
    headers = {"User-Agent": f"cerberus-bench/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    try:
        answer: HTTPResponse = _opener().open(Request(url, headers=headers), timeout=TIMEOUT)
        return answer
    except HTTPError as error:
        error.close()
        if error.code == _RANGE_WRONG and start:
            return _open(url, 0, None)
        if error.code in _WORTH_ANOTHER_TRY:
            raise _BrokenOffError(f"answers {error.code} {error.reason}", _wait(error)) from None
        raise MirrorError(f"answers {error.code} {error.reason}") from None
    except (URLError, HTTPException, OSError) as error:
        raise _BrokenOffError(f"cannot be reached ({_reason(error)})") from None
    except ValueError as error:
        raise MirrorError(str(error)) from None


def _place(answer: HTTPResponse, start: int) -> tuple[int, int]:
    """Where the answer begins in the file, and the size of the file (0 = unknown)."""
    if answer.status != 206:
        return 0, int(answer.headers.get("Content-Length") or 0)
    match = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start:
        raise MirrorError(f"answers with the wrong range ({answer.headers.get('Content-Range')})")
    return start, 0 if match[3] == "*" else int(match[3])


def _receive(
    answer: HTTPResponse,
    draft: Draft,
    total: int,
    n_bytes: int | None,
    report: Callable[[int, int], None],
) -> None:
    limit = n_bytes or total
    done = draft.size
    report(done, total)
    try:
        with draft.path.open("ab") as out:
            for chunk in _chunks(answer):
                out.write(chunk)
                done += len(chunk)
                if limit and done > limit:
                    raise MirrorError(f"gives more than the {limit} bytes that it should")
                report(done, total)
    except OSError as error:
        raise DataError(
            f"{draft.path} cannot be written ({error.strerror}). Make room, or choose another --to."
        ) from None
    if total and done < total:
        raise _BrokenOffError(f"broke off after {done} of {total} bytes")


def _chunks(answer: HTTPResponse) -> Iterator[bytes]:
    """What arrives, as it arrives, so that little is lost where the connection breaks."""
    while True:
        try:
            chunk = answer.read1(CHUNK)
        except (HTTPException, OSError) as error:
            raise _BrokenOffError(f"broke off ({_reason(error)})") from None
        if not chunk:
            return
        yield chunk


def _validator_of(answer: HTTPResponse) -> str | None:
    """A strong ETag, else the date of the last change (RFC 9110, section 13.1.5)."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")


def _refuse_page(answer: HTTPResponse, url: str) -> None:
    if answer.headers.get_content_type() == "text/html" and not url.endswith((".html", ".htm")):
        raise MirrorError("answers with a web page instead of the file; it may want a login")


def _refuse_full_disk(draft: Draft, lacking: int) -> None:
    free = shutil.disk_usage(draft.path.parent).free
    if lacking > free:
        raise DataError(
            f"{draft.path.parent} has {free} bytes free and {lacking} more are to come. Choose"
            " another folder by --to."
        )


def _wait(error: HTTPError) -> float:
    told = error.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else 0.0


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(reason).__name__


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise MirrorError(f"redirects to {host_of(newurl)} without encryption")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """HTTP and HTTPS only: no file, no ftp, no data addresses."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        _Redirects(),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
        UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
