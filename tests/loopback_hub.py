"""A small Hugging Face Hub on loopback, strict enough to fail, for the real client to speak to.

Blobs of large file storage live under another host name (`localhost`, the Hub is `127.0.0.1`), as
they do on the real one, and refuse a request that brings a token along. Importing this module
points `huggingface_hub` and `datasets` at it, so it must be imported before they are.
"""

import atexit
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from loopback_routes import ROUTES, Request, Response, refused
from loopback_store import Refusal, Repo

TOKENS = {"hf_ownerownerowner": "owner", "hf_strangerstranger": "stranger"}
"""Token -> user."""
OWNER, STRANGER = TOKENS


@dataclass(frozen=True)
class Logged:
    """One request as it came in."""

    method: str
    path: str
    host: str
    has_token: bool


@dataclass
class Fault:
    """Answer with `status` instead of serving a request that matches, after `skip` of them."""

    method: str
    pattern: str
    status: int
    skip: int = 0


class LoopbackHub:
    """The server, its repositories, what it was asked, and what it is to refuse."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: list[Logged] = []
        self.unknown: list[str] = []
        """Requests that no route knows: the client wants something this Hub does not speak."""
        self.leaks: list[str] = []
        """Requests to the blob host that brought a token."""
        self.faults: list[Fault] = []
        self.before_commit: Callable[[Repo], Any] | None = None
        """Called once, just before the next commit is looked at."""
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.blob_host = f"localhost:{self.port}"

    def start(self) -> None:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def reset(self) -> None:
        """Forget everything."""
        self.repos.clear()
        self.requests.clear()
        self.unknown.clear()
        self.leaks.clear()
        self.faults.clear()
        self.before_commit = None

    def repo(self, name: str, kind: str = "dataset") -> Repo:
        return self.repos[kind, name]

    def count(self, method: str, pattern: str) -> int:
        """How many requests of a kind came in."""
        return sum(r.method == method and bool(re.search(pattern, r.path)) for r in self.requests)

    def serve(self, request: Request) -> Response:
        with self.lock:
            self._note(request)
            try:
                self._refuse_faulty(request)
                for method, pattern, handler in ROUTES:
                    if method == request.method and (found := pattern.fullmatch(request.path)):
                        return handler(self, request, **_arguments(found))
            except Refusal as refusal:
                return refused(refusal)
            self.unknown.append(f"{request.method} {request.path}")
            return refused(Refusal(404, message="no such route on the loopback Hub"))

    def _note(self, request: Request) -> None:
        host, token = request.headers["Host"], "Authorization" in request.headers
        self.requests.append(Logged(request.method, request.path, host, token))
        is_blob = request.path.startswith("/blobs/")
        if is_blob != (host == self.blob_host):
            self.unknown.append(f"{request.path} on {host}")
        if is_blob and token:
            self.leaks.append(request.path)

    def _refuse_faulty(self, request: Request) -> None:
        for fault in self.faults:
            if fault.method == request.method and re.search(fault.pattern, request.path):
                fault.skip -= 1
                if fault.skip < 0:
                    raise Refusal(fault.status, message="injected")

    def find(self, kind: str, name: str, user: str | None) -> Repo:
        if (kind, name) not in self.repos:
            raise Refusal(404 if user else 401, "RepoNotFound", "Repository not found")
        repo = self.repos[kind, name]
        repo.check_readable(user)
        return repo


def _arguments(found: re.Match[str]) -> dict[str, str]:
    named = {key: unquote(value) for key, value in found.groupdict().items() if value is not None}
    return {"kind": "model", **named} if "repo" in named else named


# the wire ----------------------------------------------------------------------------------------


def _handler_of(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Wire(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def answer(self) -> None:
            place = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            if token and (scheme != "Bearer" or token not in TOKENS):
                message = "Invalid credentials in Authorization header"
                response = refused(Refusal(401, message=message))
            else:
                user = TOKENS.get(token)
                query = parse_qs(place.query)
                request = Request(self.command, place.path, query, self.headers, body, user)
                response = hub.serve(request)
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    return Wire


def _point_clients_here(hub: LoopbackHub) -> str:
    """Environment of the clients; returns the folder of their caches."""
    if "huggingface_hub" in sys.modules:
        raise RuntimeError("import loopback_hub before anything that imports huggingface_hub")
    home = tempfile.mkdtemp(prefix="loopback-hub-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING_FACE"))]:
        del os.environ[name]
    os.environ |= {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": home,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return home


HUB = LoopbackHub()
HF_HOME = _point_clients_here(HUB)


@pytest.fixture(scope="session")
def running_hub() -> Iterator[LoopbackHub]:
    HUB.start()
    yield HUB
    HUB.stop()


@pytest.fixture
def hub(running_hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """An empty Hub; the client holds its owner's token. It must have understood every request."""
    running_hub.reset()
    shutil.rmtree(Path(HF_HOME, "hub"), ignore_errors=True)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    yield running_hub
    assert running_hub.unknown == []
    assert running_hub.leaks == []
