"""Images harmonised several at a time: the same bytes, bounded memory, the first error."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock
from time import sleep
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from fakes import conic, glas, monuseg, zipped
from PIL import Image
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.loaders.build import harmonise_source
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.parallel import AHEAD, in_order
from cerberus_bench.loaders.registry import get
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.machine import usable_cores


def test_order_is_that_of_the_items_however_long_each_takes() -> None:
    later = Event()

    def work(item: int) -> int:
        if item == 0:
            assert later.wait(10)  # the first ends after the third
        if item == 2:
            later.set()
        return item * item

    assert list(in_order(work, range(40), 3)) == [item * item for item in range(40)]


def test_few_calls_run_and_few_results_wait() -> None:
    lock, running, begun, most = Lock(), 0, 0, 0

    def work(item: int) -> int:
        nonlocal running, begun, most
        with lock:
            running, begun = running + 1, begun + 1
            most = max(most, running)
        sleep(0.002)
        with lock:
            running -= 1
        return item

    for taken, _ in enumerate(in_order(work, range(60), 4), 1):
        assert begun <= taken + AHEAD * 4
    assert 1 < most <= 4


@pytest.mark.parametrize("workers", [1, 3])
def test_first_error_in_order_is_raised_and_the_rest_is_not_begun(workers: int) -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item >= 5:
            if item == 5:
                sleep(0.02)  # later ones fail first
            raise DataError(f"image {item}")
        return item

    got: list[int] = []
    with pytest.raises(DataError, match="image 5"):
        got += in_order(work, range(1000), workers)
    assert max(begun) <= 5 + AHEAD * workers


Write = Callable[[Path], Path]
SOURCES: dict[str, Write] = {
    "glas": lambda root: zipped(glas.write(root / "files"), root / "glas.zip"),
    "conic": conic.write,
    "monuseg": monuseg.write,
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", SOURCES)
def test_bytes_do_not_depend_on_the_number_of_workers(name: str, tmp_path: Path) -> None:
    source = SOURCES[name](tmp_path / "source")
    written, told = [], []
    for workers in (1, 2, 7):
        seen: list[tuple[Any, ...]] = []
        done = harmonise_source(
            get(name),
            source,
            tmp_path / str(workers) / name,
            allow_partial=True,
            workers=workers,
            progress=lambda *step, seen=seen: seen.append(step),  # type: ignore[misc]
        )
        written.append(files_of(done.out))
        told.append((seen, done.notes, done.classes, done.objects, done.audit))
    assert any(path.endswith(".parquet") for path in written[0])
    assert written[0] == written[1] == written[2]
    assert told[0] == told[1] == told[2]


def test_damaged_image_leaves_nothing_behind(tmp_path: Path) -> None:
    source = glas.write(tmp_path / "source")
    for record in ("train_2", "train_3"):
        (source / glas.FOLDER / f"{record}.bmp").write_bytes(b"BM and no more")
    for workers in (1, 4):
        with pytest.raises(DataError, match=r"train_2\.bmp"):
            harmonise_source(
                get("glas"), source, tmp_path / "out", allow_partial=True, workers=workers
            )
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_verb_says_how_fast_it_was(tmp_path: Path) -> None:
    command = ["harmonize", "glas", "--source", str(glas.write(tmp_path / "source"))]
    command += ["--allow-partial", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--workers", "2", "--json"])
    said = json.loads(done.stdout)
    assert said["workers"] == 2
    assert said["images_per_s"] == pytest.approx(said["n_images"] / said["seconds"])
    n_bytes = said["n_images"] * 3 * glas.SHAPE[0] * glas.SHAPE[1]
    assert said["mb_per_s"] == pytest.approx(n_bytes / 1e6 / said["seconds"])
    shown = CliRunner().invoke(app, command).stdout
    cores = usable_cores()
    assert "images/s" in shown
    assert f"by {cores} worker{'' if cores == 1 else 's'}" in " ".join(shown.split())
    refused = CliRunner().invoke(app, [*command, "--workers", "0"])
    assert refused.exit_code == 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system knows no affinity")
def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert usable_cores() == len(allowed)
    for granted, cores in (
        ("1", 1),
        ("100000", len(allowed)),
        ("", len(allowed)),
        ("0", len(allowed)),
    ):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", granted)
        assert usable_cores() == cores


def test_the_bound_on_pixels_holds_in_threads() -> None:
    """Filters of warnings are shared by all threads, so the bound must not rest on them."""
    big, small = (_png(side) for side in (9600, 4))

    def work(data: bytes) -> str:
        try:
            decode_rgb(data, "it")
        except DataError as error:
            return str(error)
        return "decoded"

    said = list(in_order(work, [small, big] * 40, 8))
    assert set(said[::2]) == {"decoded"}
    (refusal,) = set(said[1::2])
    assert refusal.startswith("it is larger than any image expected here: 9600 x 9600 pixels. Cut")


def _png(side: int) -> bytes:
    """A small file; of the large one only the head says its size."""
    data = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(data, "PNG")
    head = bytearray(data.getvalue())
    head[16:24] = side.to_bytes(4, "big") * 2
    head[29:33] = crc32(bytes(head[12:29])).to_bytes(4, "big")
    return bytes(head)
