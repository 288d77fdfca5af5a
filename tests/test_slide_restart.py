"""Runs that are killed, interrupted or meet damage go on, and end with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tifffile
from slide_models import phantom_slide, predictor
from slide_pictures import write_ome

from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.predict_slides import SlideOptions, merge, predict_slide

ROOT = Path(__file__).resolve().parent.parent
SHARDS = SlideOptions(shard_px=1024, workers=1)
SLOW_RUN = """
import sys
from pathlib import Path
from slide_models import predictor
from test_slide_restart import SHARDS
from cerberus_bench.workflows.predict_slides import predict_slide

predict_slide(Path(sys.argv[1]), predictor(seconds_a_batch=0.3), Path(sys.argv[2]), SHARDS)
"""


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ome(tmp_path_factory.mktemp("slide") / "slide.tif", phantom_slide(), 0.5)


@pytest.fixture(scope="module")
def expected(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected")
    predict_slide(slide, predictor(), out, SHARDS)
    return results(out / "slide")


def results(folder: Path) -> dict[str, bytes]:
    """All that a slide is in the end, but for the time that it took."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name != "done.json"
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def done(out: Path) -> dict[str, int]:
    """Shards that are finished, and when they were."""
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in out.glob("slide/shards/*/done.json")
        if path.parent.name.isdigit()
    }


def killed(slide: Path, out: Path, n_done: int, seconds: float) -> None:
    """Start a run and kill it some time after it has finished a number of shards."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    run = subprocess.Popen([sys.executable, "-c", SLOW_RUN, slide, out], env=environment)
    until = time.monotonic() + 120
    while len(done(out)) < n_done or not (out / "slide" / "plan.json").exists():
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(seconds)
    assert run.poll() is None, "the run ended before it could be killed"
    run.send_signal(signal.SIGKILL)
    run.wait()


def test_a_run_that_is_killed_twice_ends_with_the_same_bytes(
    slide: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    moment = random.Random(os.urandom(8))
    killed(slide, tmp_path, 0, moment.uniform(0, 1))
    killed(slide, tmp_path, 2, moment.uniform(0, 0.5))
    before = done(tmp_path)
    assert len(before) >= 2
    (tmp_path / "slide" / "shards" / "00004.part-0123").mkdir()
    (tmp_path / "slide" / "tissue.png.part-0123").touch()
    predict_slide(slide, predictor(), tmp_path, SHARDS)
    after = done(tmp_path)
    assert {name: after[name] for name in before} == before, "finished shards are not done again"
    assert results(tmp_path / "slide") == expected


def test_an_interrupt_leaves_finished_shards(
    slide: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    def stop(name: str, step: object) -> None:
        if done(tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_slide(slide, predictor(), tmp_path, SHARDS, progress=stop)
    before = done(tmp_path)
    assert 0 < len(before) < 5
    with pytest.raises(DataError, match=rf"{5 - len(before)} of 5 shards are missing.*predict"):
        merge(tmp_path)
    predict_slide(slide, predictor(), tmp_path, SHARDS)
    assert done(tmp_path).items() >= before.items()
    assert results(tmp_path / "slide") == expected


def test_damaged_shards_are_done_again(
    slide: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    predict_slide(slide, predictor(), tmp_path, SHARDS)
    first = done(tmp_path)
    nuclei = tmp_path / "slide" / "shards" / "00001" / "nuclei.parquet"
    nuclei.write_bytes(nuclei.read_bytes()[:-1])
    (tmp_path / "slide" / "shards" / "00003" / "done.json").write_text("{}")
    with pytest.raises(DataError, match="00001, 00003"):
        merge(tmp_path)
    predict_slide(slide, predictor(), tmp_path, SHARDS)
    changed = {name for name, time in done(tmp_path).items() if first[name] != time}
    assert changed == {"00001", "00003"}
    assert results(tmp_path / "slide") == expected
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "slide").rglob("*")}
    predict_slide(slide, predictor(), tmp_path, SHARDS)
    assert {path: path.stat().st_mtime_ns for path in times} == times, "nothing was left to do"


def test_a_slide_that_is_damaged_in_places(slide: Path, tmp_path: Path) -> None:
    """A tile of the third shard is overwritten: the error names the file, the first is kept."""
    damaged = tmp_path / "slide.tif"
    damaged.write_bytes(slide.read_bytes())
    with tifffile.TiffFile(damaged) as tiff:
        page = tiff.pages[0]
        last_of_first_row = 8
        offset = page.dataoffsets[last_of_first_row]
        length = page.databytecounts[last_of_first_row]
    with damaged.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * length)
    with pytest.raises(DataError, match=r"slide\.tif: truncated or corrupt.*copy it again"):
        predict_slide(damaged, predictor(), tmp_path / "out", SHARDS)
    assert set(done(tmp_path / "out")) == {"00000"}
    assert not (tmp_path / "out" / "slide" / "summary.json").exists()
