"""A headless Chromium, driven over its debugging pipe: no driver and no package is needed."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
LOUD = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
PATIENCE_S = 60.0


def find_chromium() -> str | None:
    """The first Chromium on the path."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. Everything that it requests or complains about is kept."""

    def __init__(self, executable: str, home: Path) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._last = 0
        self._rest = b""
        self._loaded = False
        command_in, self._send = os.pipe()
        self._receive, command_out = os.pipe()

        def connect() -> None:
            # the browser reads commands from descriptor 3 and answers on 4
            spares = (
                fcntl.fcntl(command_in, fcntl.F_DUPFD, 10),
                fcntl.fcntl(command_out, fcntl.F_DUPFD, 10),
            )
            os.dup2(spares[0], 3)
            os.dup2(spares[1], 4)

        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [executable, *FLAGS, *sandbox, f"--user-data-dir={home}", "about:blank"],
            preexec_fn=connect,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_in)
        os.close(command_out)
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        os.close(self._send)
        os.close(self._receive)

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol, answered."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _next(self) -> Mapping[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._receive, 1 << 20)
            assert read, "the browser went away"
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        message: Mapping[str, Any] = json.loads(line)
        self._note(message)
        return message

    def _note(self, message: Mapping[str, Any]) -> None:
        method = message.get("method")
        if method == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif method in LOUD:
            self.complaints.append(json.dumps(message["params"])[:500])
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Show an address and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._go("about:blank")
        self.requests.clear()
        self.complaints.clear()
        self._go(address)

    def _go(self, address: str) -> None:
        self._loaded = False
        self.call("Page.navigate", url=address)
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression, or of what it promises."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """One key, down and up."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def allow_downloads(self, folder: Path) -> None:
        """Let the page save files there."""
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))


def wait_for(path: Path) -> Path:
    """A file that is about to appear, once it is complete."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists() or path.stat().st_size == 0:
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
    return path
