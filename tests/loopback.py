"""A file server on loopback that can misbehave in the ways in which real ones do."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RANGE = re.compile(r"bytes=(\d+)-$")


@dataclass
class Behaviour:
    """What one address does. Lists are used up, one entry a request."""

    data: bytes = b""
    etag: str | None = '"v1"'
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    """Bytes of the body after which the connection is cut."""
    answers: list[int] = field(default_factory=list)
    """Status codes to answer instead of the file."""
    location: str | None = None
    """Where to redirect to."""
    content_type: str = "application/octet-stream"
    wrong_range: bool = False
    """Answer ranges with another start than was asked for."""
    no_length: bool = False
    requests: list[dict[str, str]] = field(default_factory=list)
    """Headers of the requests so far, names in lower case."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: "Server"

    def do_GET(self) -> None:
        asked = self.server.files[self.path]
        asked.requests.append({name.lower(): value for name, value in self.headers.items()})
        if asked.answers:
            self.send_response(asked.answers.pop(0))
            self.send_header("Retry-After", "0")
            self.end_headers()
        elif asked.location:
            self.send_response(302)
            self.send_header("Location", asked.location)
            self.end_headers()
        else:
            self._send_file(asked)

    def _send_file(self, asked: Behaviour) -> None:
        start = self._start(asked)
        if start is not None and start >= len(asked.data):
            self.send_response(416)
            self.end_headers()
            return
        self.send_response(200 if start is None else 206)
        if start is not None:
            first = start + 1 if asked.wrong_range else start
            end = len(asked.data)
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{end}")
        body = asked.data[start or 0 :]
        if not asked.no_length:
            self.send_header("Content-Length", str(len(body)))
        if asked.etag:
            self.send_header("ETag", asked.etag)
        self.send_header("Content-Type", asked.content_type)
        self.end_headers()
        self.wfile.write(body[: asked.break_after.pop(0)] if asked.break_after else body)

    def _start(self, asked: Behaviour) -> int | None:
        match = RANGE.match(self.headers.get("Range", ""))
        if not match or not asked.ranges:
            return None
        condition = self.headers.get("If-Range")
        return int(match[1]) if condition in (None, asked.etag) else None

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Behaviour] = {}

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def put(self, path: str, behaviour: Behaviour) -> str:
        """Serve a file; returns its address."""
        self.files[path] = behaviour
        return self.url(path)


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the time of the block."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
