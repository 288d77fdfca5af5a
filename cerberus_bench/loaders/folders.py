"""Folders that appear whole or not at all, and the folder for what this package caches."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cerberus_bench.loaders.metadata import FILE_NAME
from cerberus_bench.schema.errors import DataError

HOME_VARIABLE = "CERBERUS_BENCH_HOME"


def cache_folder() -> Path:
    """Where built and downloaded data lie: $CERBERUS_BENCH_HOME, else the user's cache folder."""
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("cerberus-bench", appauthor=False)


def check_replaceable(out: Path, dataset: str) -> None:
    """Refuse an output folder that holds anything but the same harmonised dataset.

    Raises:
        DataError: `out` is a file, a folder of something else, or of another dataset.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / FILE_NAME).is_file():
        raise DataError(
            f"{out} exists and is not a harmonised dataset, so it is not overwritten. Choose"
            " another --out or remove it."
        )
    present = _name_of(out / FILE_NAME)
    if present != dataset:
        raise DataError(
            f"{out} holds {present}; it is not overwritten with {dataset}. Choose another --out or"
            " remove it."
        )


def _name_of(path: Path) -> str:
    """The dataset's name in a `dataset.json` of any version."""
    try:
        return str(json.loads(path.read_bytes())["name"])
    except (ValueError, KeyError, TypeError):
        return "something else"


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A temporary sibling of `out` that takes its place when the block ends without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        yield draft
        draft.chmod(0o777 & ~_umask())
        _swap(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _swap(draft: Path, out: Path) -> None:
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".old", dir=out.parent))
        out.replace(old / "old")
        draft.replace(out)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.replace(out)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
