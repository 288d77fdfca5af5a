"""SourceTree: zips and folders alike, and what a hostile or broken archive meets."""

import re
import zipfile
from pathlib import Path

import pytest

from cerberus_bench.loaders import archive
from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.schema.errors import DataError


def make_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_BZIP2) -> Path:
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


MEMBERS = {
    "a/one.txt": b"1",
    "a/.DS_Store": b"x",
    "__MACOSX/a/._one.txt": b"x",
    "a/b/two.txt": b"2",
}


def test_zip_and_folder_look_the_same(tmp_path: Path) -> None:
    zipped = make_zip(tmp_path / "source.zip", MEMBERS)
    with zipfile.ZipFile(zipped) as opened:
        opened.extractall(tmp_path / "folder")
    for root in (zipped, tmp_path / "folder"):
        with SourceTree(root) as tree:
            assert tree.names == ("a/b/two.txt", "a/one.txt")
            assert tree.read("a/b/two.txt") == b"2"
            assert list(tree.match(re.compile(r"two"))) == ["a/b/two.txt"]


def test_zips_in_a_folder_are_looked_into(tmp_path: Path) -> None:
    make_zip(tmp_path / "train.zip", {"images/1.tif": b"t"})
    make_zip(tmp_path / "test.ZIP", {"images/1.tif": b"s"})
    tree = SourceTree(tmp_path)
    assert tree.names == ("test.ZIP/images/1.tif", "train.zip/images/1.tif")
    assert tree.read("test.ZIP/images/1.tif") == b"s"
    assert tree.where("train.zip/images/1.tif") == f"{tmp_path / 'train.zip'}: images/1.tif"


def test_empty_tree_has_no_files() -> None:
    assert SourceTree.empty().names == ()


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist. Give the folder or zip"):
        SourceTree(tmp_path / "nowhere")


def test_not_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "source.zip"
    path.write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError, match=r"source.zip is not a readable zip.*Download it again"):
        SourceTree(path)


def test_truncated_zip(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "source.zip", MEMBERS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a readable zip"):
        SourceTree(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 12, 14])
def test_damaged_member(tmp_path: Path, compression: int) -> None:
    payload = bytes(range(256)) * 40
    path = make_zip(tmp_path / "source.zip", {"a/one.bin": payload}, compression)
    raw = bytearray(path.read_bytes())
    raw[60:75] = b"\x00" * 15
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"a/one.bin (is corrupt|cannot be unpacked)"):
        SourceTree(path).read("a/one.bin")


def test_encrypted_member(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "source.zip", {"one.txt": b"1" * 50}, zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + flags] |= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"one.txt cannot be unpacked .*password"):
        SourceTree(path).read("one.txt")


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/etc/evil", "C:/evil.txt"])
def test_paths_outside_are_refused(tmp_path: Path, name: str) -> None:
    path = make_zip(tmp_path / "source.zip", {name: b"x"})
    with pytest.raises(DataError, match="points outside the archive"):
        SourceTree(path)


def test_zip_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "source.zip", {"zeros": bytes(65 << 20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="zeros would grow from"):
        SourceTree(path)


def test_flat_annotation_is_no_bomb(tmp_path: Path) -> None:
    # an empty label map of a source compresses far beyond the ratio, but is small
    path = make_zip(tmp_path / "source.zip", {"blank.bmp": bytes(400_000)})
    assert len(SourceTree(path).read("blank.bmp")) == 400_000


def test_declared_total_and_count_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip(tmp_path / "source.zip", MEMBERS)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 3)
    with pytest.raises(DataError, match="declares 4 files and 4 bytes"):
        SourceTree(path)


def test_large_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.bmp").write_bytes(bytes(2000))
    with pytest.raises(DataError, match=r"big.bmp holds 2000 bytes, more than the 1000"):
        SourceTree(tmp_path).read("big.bmp", limit=1000)


def test_two_copies_are_told(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train_1.bmp").touch()
    tree = SourceTree(tmp_path)
    with pytest.raises(DataError, match=r"a/train_1.bmp and .*b/train_1.bmp are both train_1"):
        unique_by_key(tree, (("train_1", name) for name in tree.names))
