"""Files and folders that appear under their name when they are complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a hidden draft beside `path`, which takes its name when the block ends well.

    A file that is there is replaced. What an error, or an earlier run that was killed, left of the
    draft is removed; one process at a time may write a path.

    Args:
        path: file or folder to write; its parent exists.
    """
    draft = path.with_name(f".{path.name}.part")
    _remove(draft)
    try:
        yield draft
        draft.replace(path)
    finally:
        _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
