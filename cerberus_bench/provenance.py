"""Where a result comes from: code, packages, machine, command line."""

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("cerberus-bench", "torch", "numpy", "scipy", "scikit-image", "opencv-python-headless")


def provenance(**facts: str) -> dict[str, str]:
    """Facts about this run as flat strings: commit, versions, platform, command, and `facts`."""
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "command": command(),
        **{name: _version(name) for name in PACKAGES},
        **facts,
    }


def now_utc() -> str:
    """The time now, to the second, in ISO 8601 with Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def command() -> str:
    """The command line, with the program's folder left out."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""


def commit() -> str:
    """Commit of the checkout this package runs from, `+dirty` if it has changes; else `release`."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "release"
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+dirty" if _git(root, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
