"""SourceTree: read a source from a folder, a zip, or a folder that holds zips, in the same way.

Nothing is unpacked: members are read into memory one at a time, within bounds, so a path that
points outside or a file that would explode is refused before it can do anything.
"""

import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from threading import Lock

from cerberus_bench.schema.errors import DataError

MAX_FILES = 1_000_000
MAX_TOTAL_BYTES = 1 << 40
MAX_FILE_BYTES = 1 << 30
"""Largest single file a reader is given unless it asks for more."""
SUSPICIOUS_RATIO = 200
SUSPICIOUS_BYTES = 64 << 20
"""A member is refused as a zip bomb if it is larger than this and compressed further than that."""
_STEP_BYTES = 1 << 20
_GREEDY_STEP_BYTES = 1 << 12
"""How much is unpacked at a time. bzip2 and LZMA unpack all that they are given, so they get
little: a member that holds more than it declares must not fill the memory before that is found."""

_JUNK_PARTS = {"__MACOSX"}
_JUNK_NAMES = {".DS_Store", "Thumbs.db", "desktop.ini"}


class SourceTree:
    """The files of a source by their posix path below its root. Junk of file browsers is left out.

    A zip directly in the folder is looked into; its members are listed as `<zip name>/<member>`.
    Links to folders are not followed. Threads may read at the same time.
    """

    def __init__(self, root: Path) -> None:
        """List a folder or a zip.

        Raises:
            DataError: `root` does not exist, or is no folder and no readable zip, or an archive
                is corrupt, too large, or names files outside itself.
        """
        self.root = root
        self._places: dict[str, tuple[Path, zipfile.ZipInfo | None]] = {}
        self._zips: dict[Path, zipfile.ZipFile] = {}
        self._lock = Lock()
        if root.is_dir():
            self._add_folder(root)
        elif root.is_file():
            self._add_zip(root, "")
        else:
            raise DataError(f"{root} does not exist. Give the folder or zip of the source files.")

    @classmethod
    def empty(cls) -> "SourceTree":
        """A tree without files, for sources that are generated."""
        tree = cls.__new__(cls)
        tree.root, tree._places, tree._zips, tree._lock = Path(), {}, {}, Lock()
        return tree

    @property
    def names(self) -> tuple[str, ...]:
        """All files, sorted."""
        return tuple(sorted(self._places))

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def match(self, pattern: re.Pattern[str]) -> dict[str, re.Match[str]]:
        """Files whose path the pattern finds (`search`), sorted by name."""
        found = {name: pattern.search(name) for name in self.names}
        return {name: match for name, match in found.items() if match}

    def where(self, name: str) -> str:
        """How to speak of a file in a message: its path, or `<zip>: <member>`."""
        path, member = self._places[name]
        return f"{path}: {member.filename}" if member else str(path)

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of one file.

        Raises:
            DataError: the file is larger than `limit` or cannot be read as it is stored.
        """
        path, member = self._places[name]
        n_bytes = member.file_size if member else _size_of(path)
        if n_bytes > limit:
            raise DataError(
                f"{self.where(name)} holds {n_bytes} bytes, more than the {limit} that this kind"
                " of file may have. It is not what the source distributes: obtain it again."
            )
        return self._read_member(path, member) if member else _read_file(path)

    def _read_member(self, path: Path, member: zipfile.ZipInfo) -> bytes:
        try:
            return self._unpack(path, member)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise DataError(
                f"{path}: {member.filename} is corrupt ({error}). Download {path.name} again and"
                " compare its checksum with that of the source."
            ) from None
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(
                f"{path}: {member.filename} cannot be unpacked ({error}). Unpack {path.name} with"
                " another program and give the folder instead."
            ) from None

    def _unpack(self, path: Path, member: zipfile.ZipInfo) -> bytes:
        # zipfile counts its open members without a lock; what takes time, unpacking, needs none
        with self._lock:
            opened = self._open(path).open(member)
        is_bounded = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        step = _STEP_BYTES if is_bounded else _GREEDY_STEP_BYTES
        try:
            return b"".join(iter(lambda: opened.read(step), b""))
        finally:
            with self._lock:
                opened.close()

    def _open(self, path: Path) -> zipfile.ZipFile:
        if path not in self._zips:
            try:
                self._zips[path] = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
                raise DataError(
                    f"{path} is not a readable zip ({error}). Download it again, or unpack it and"
                    " give the folder."
                ) from None
        return self._zips[path]

    def _add_folder(self, root: Path) -> None:
        for folder, _, files in os.walk(root):
            for name in files:
                path = Path(folder, name)
                relative = path.relative_to(root).as_posix()
                if _is_junk(relative):
                    continue
                if path.parent == root and path.suffix.lower() == ".zip":
                    self._add_zip(path, f"{path.name}/")
                else:
                    self._places[relative] = (path, None)
            if len(self._places) > MAX_FILES:
                raise DataError(f"{root} holds more than {MAX_FILES} files; give a folder below it")

    def _add_zip(self, path: Path, prefix: str) -> None:
        members = [m for m in self._open(path).infolist() if not m.is_dir()]
        _check_members(path, members)
        for member in members:
            if not _is_junk(member.filename):
                self._places[prefix + member.filename] = (path, member)

    def close(self) -> None:
        """Close the open zips."""
        for archive in self._zips.values():
            archive.close()
        self._zips.clear()

    def __enter__(self) -> "SourceTree":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unique_by_key(tree: SourceTree, keyed: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """(key, file name) pairs as a mapping.

    Raises:
        DataError: two files have the same key, so it is unclear which to read.
    """
    unique: dict[str, str] = {}
    for key, name in keyed:
        if key in unique:
            raise DataError(
                f"{tree.where(unique[key])} and {tree.where(name)} are both {key}. Keep one copy"
                " of the source below the folder that you give."
            )
        unique[key] = name
    return unique


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    total = sum(member.file_size for member in members)
    if len(members) > MAX_FILES or total > MAX_TOTAL_BYTES:
        raise DataError(
            f"{path} declares {len(members)} files and {total} bytes, more than any source has"
            f" ({MAX_FILES}, {MAX_TOTAL_BYTES}). It is not what the source distributes."
        )
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        outside = parts.is_absolute() or ".." in parts.parts
        if outside or not parts.parts or ":" in parts.parts[0]:
            raise DataError(
                f"{path}: the member {member.filename!r} points outside the archive. It is not"
                " what the source distributes: obtain it again."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(
                f"{path}: the member {member.filename!r} is a symbolic link. Sources hold none:"
                " obtain it again, or unpack it, look at what it points to, and give the folder."
            )
        bomb = member.file_size > SUSPICIOUS_RATIO * max(1, member.compress_size)
        if bomb and member.file_size > SUSPICIOUS_BYTES:
            raise DataError(
                f"{path}: {member.filename} would grow from {member.compress_size} to"
                f" {member.file_size} bytes. It is not what the source distributes."
            )


def _is_junk(name: str) -> bool:
    parts = PurePosixPath(name).parts
    is_double = parts[-1].startswith("._")
    return is_double or parts[-1] in _JUNK_NAMES or not _JUNK_PARTS.isdisjoint(parts)


def _size_of(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path} is no plain file, so it is not read. Remove it.")
    return found.st_size


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
