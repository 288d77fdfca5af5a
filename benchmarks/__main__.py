"""`python -m benchmarks [NAME...] [--markdown FILE]`: each with its baseline on the same input.

With `--markdown` the tables go into that file, each in place of its own section; sections of other
benchmarks stay as they are.
"""

import argparse
import os
import platform
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import data, instances, network, phantom, scores, slides, training
from benchmarks.timing import Row, markdown, show

BENCHMARKS: dict[str, tuple[str, Callable[[], Iterable[Row]]]] = {
    "scores": ("Scores", scores.rows),
    "data": ("Training input", data.rows),
    "network": ("Network", network.rows),
    "instances": ("Maps to instances", instances.rows),
    "training": ("Training", training.rows),
    "phantom": ("Phantom", phantom.rows),
    "slides": ("Whole slides", slides.rows),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}: {', '.join(BENCHMARKS)}")
    for name in given.names or BENCHMARKS:
        title, rows_of = BENCHMARKS[name]
        rows = list(rows_of())
        show(title, rows)
        if given.markdown:
            write_section(given.markdown, name, title, rows)


def write_section(path: Path, name: str, title: str, rows: Iterable[Row]) -> None:
    """Replace the section of one benchmark in a Markdown file, or add it."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    command = f"`python -m benchmarks {name} --markdown {path}`"
    body = f"{begin}\n## {title}\n\n{command}, {machine()}.\n\n{markdown(rows)}{end}"
    text = path.read_text(encoding="utf-8")
    if begin in text:
        before, rest = text.split(begin, 1)
        text = before + body + rest.split(end, 1)[1]
    else:
        text = f"{text.rstrip()}\n\n{body}\n"
    path.write_text(text, encoding="utf-8")


def machine() -> str:
    """What the figures were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    day = datetime.now(UTC).date().isoformat()
    kind = " with ".join([platform.machine(), *filter(None, [extensions()])])
    return f"{day}, {kind}, {cores} cores{load()}, Python {platform.python_version()}"


def load() -> str:
    """How busy the cores were over the last five minutes; more than their number slows figures."""
    return f" (load {os.getloadavg()[1]:.0f})" if hasattr(os, "getloadavg") else ""


def extensions() -> str:
    """Vector and matrix instructions of the CPU that matter to networks; empty where unknown."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii").split())
    except OSError:
        return ""
    return ", ".join(
        name if name in flags else f"no {name}"
        for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    )


if __name__ == "__main__":
    main()
