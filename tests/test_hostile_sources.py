"""Sources that would do harm: each is refused with one clear sentence, and nothing is written."""

import pickle
import stat
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from fakes import conic, consep, glas, midogpp, monuseg, pannuke, zipped

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.harmonize import harmonize


def refusal(name: str, source: Path, out: Path) -> str:
    """What `harmonize` says, with exit code 2 on the command line; it must leave no folder."""
    with pytest.raises(DataError) as error:
        harmonize(name, source, out, allow_partial=True)
    assert error.value.exit_code == 2
    assert not out.exists()
    assert not list(out.parent.glob(".*partial"))
    return str(error.value)


def glas_zip(tmp_path: Path) -> Path:
    return zipped(glas.write(tmp_path / "glas"), tmp_path / "glas.zip")


def test_zip_bomb(tmp_path: Path) -> None:
    archive = glas_zip(tmp_path)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as out:
        out.writestr(f"{glas.FOLDER}/train_99.bmp", bytes(100 << 20))
    said = refusal("glas", archive, tmp_path / "out")
    assert f"{glas.FOLDER}/train_99.bmp would grow from" in said
    assert str(100 << 20) in said


NOISE = np.random.default_rng(0).bytes(6 << 20)


@pytest.mark.parametrize(
    ("compression", "payload", "bound"),
    [(zipfile.ZIP_DEFLATED, bytes(96 << 20), 4 << 20), (zipfile.ZIP_BZIP2, NOISE, 3 << 20)],
    ids=["deflate", "bzip2"],
)
def test_member_that_holds_more_than_it_declares_never_fills_the_memory(
    compression: int, payload: bytes, bound: int, tmp_path: Path
) -> None:
    archive = tmp_path / "source.zip"
    with zipfile.ZipFile(archive, "w", compression) as out:
        out.writestr("small.txt", payload)
    true, false = (struct.pack("<I", n) for n in (len(payload), 1000))
    archive.write_bytes(archive.read_bytes().replace(true, false))
    with SourceTree(archive) as tree:
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=r"small.txt is corrupt \(Bad CRC-32"):
                tree.read("small.txt")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < bound


@pytest.mark.parametrize("name", ["../../evil.bmp", "/evil.bmp", "C:\\evil.bmp", "."])
def test_path_escape(name: str, tmp_path: Path) -> None:
    archive = glas_zip(tmp_path)
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr(name, b"x")
    said = refusal("glas", archive, tmp_path / "out")
    assert f"the member {name!r} points outside the archive" in said
    assert not list(tmp_path.rglob("evil*"))


def test_symlink_member(tmp_path: Path) -> None:
    archive = glas_zip(tmp_path)
    link = zipfile.ZipInfo(f"{glas.FOLDER}/train_99.bmp")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr(link, "/etc/passwd")
    said = refusal("glas", archive, tmp_path / "out")
    assert "train_99.bmp' is a symbolic link" in said


def test_dangling_link_in_a_folder(tmp_path: Path) -> None:
    root = glas.write(tmp_path / "glas")
    path = root / glas.FOLDER / "train_1.bmp"
    path.unlink()
    path.symlink_to("nowhere.bmp")
    assert "train_1.bmp cannot be read: No such file" in refusal("glas", root, tmp_path / "out")


class RunsCode:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("name", "file"),
    [("conic", "data/labels.npy"), ("pannuke", "Fold 1/masks/fold1/masks.npy")],
)
def test_pickled_npy(name: str, file: str, tmp_path: Path) -> None:
    root = {"conic": conic, "pannuke": pannuke}[name].write(tmp_path / "source")
    evil = RunsCode(tmp_path / "ran")
    for number, pickled in enumerate(("array", "plain", "npz")):
        if pickled == "array":
            np.save(root / file, np.array([evil], object), allow_pickle=True)
        elif pickled == "plain":
            (root / file).write_bytes(pickle.dumps(evil))
        else:
            with (root / file).open("wb") as stream:
                np.savez(stream, labels=np.array([evil], object), allow_pickle=True)
        said = refusal(name, root, tmp_path / f"out{number}")
        assert f"{Path(file).name} is no plain .npy array" in said
        assert not (tmp_path / "ran").exists()


def test_xml_entity_bomb(tmp_path: Path) -> None:
    root = monuseg.write(tmp_path / "source")
    laughs = "".join(
        f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' if i else '<!ENTITY l0 "lol">' for i in range(10)
    )
    path = root / monuseg.TRAIN / "Annotations" / f"{monuseg.RECORDS[0]}.xml"
    path.write_text(f"<!DOCTYPE a [{laughs}]><Annotations>&l9;</Annotations>")
    said = refusal("monuseg", root, tmp_path / "out")
    assert f"{path.name} is no Aperio annotation (EntitiesForbidden" in said


def test_xml_that_reads_other_files(tmp_path: Path) -> None:
    root = monuseg.write(tmp_path / "source")
    path = root / monuseg.TRAIN / "Annotations" / f"{monuseg.RECORDS[0]}.xml"
    path.write_text(
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><Annotations>&e;</Annotations>'
    )
    assert "is no Aperio annotation" in refusal("monuseg", root, tmp_path / "out")


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises an 8-bit RGB image; it holds one byte of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("side", "told"), [(100_000, str(10**10)), (12_000, "12000 x 12000")])
def test_png_of_absurd_size(side: int, told: str, tmp_path: Path) -> None:
    root = consep.write(tmp_path / "source")
    path = root / "CoNSeP" / "Train" / "Images" / "train_1.png"
    path.write_bytes(png_of(side, side))
    said = refusal("consep", root, tmp_path / "out")
    assert f"{path.name} is larger than any image expected here" in said
    assert told in said


def test_deeply_nested_json(tmp_path: Path) -> None:
    root = midogpp.write(tmp_path / "source")
    (root / "databases" / "MIDOG++.json").write_text("[" * 200_000)
    assert "MIDOG++.json is no JSON" in refusal("midogpp", root, tmp_path / "out")
