"""Shards on Ray: two workers, one of which is killed, give the files that threads give."""

import os
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest
from slide_models import phantom_slide, predictor
from slide_pictures import Pixels

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.array_reader import ArrayReader
from cerberus_bench.slides.engine import Step
from cerberus_bench.slides.folder import DONE
from cerberus_bench.slides.ray_engine import connected
from cerberus_bench.workflows.predict_slides import SlideOptions, predict_slide

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'"
)


class Trap(ArrayReader):
    """A slide on which something happens to the first worker that reads the right half."""

    def __init__(self, marker: Path, what: Literal["kill", "damage"]) -> None:
        super().__init__(phantom_slide(), 0.5, name="slide")
        self._marker, self._what = marker, what
        self._driver = os.getpid()

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Pixels:
        if x + width > 1200 and os.getpid() != self._driver:
            self._spring()
        return super().read(x, y, width, height, level)

    def _spring(self) -> None:
        if self._what == "damage":
            raise DataError("slide: truncated or corrupt")
        try:
            with self._marker.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    """Ray on this machine, as `predict` starts it; workers find the helpers of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        with connected(2) as ray:
            yield ray


def files(folder: Path) -> dict[str, bytes]:
    """All files but the records, which hold the time that a shard took."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != DONE]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@needs_ray
@pytest.mark.usefixtures("two_workers")
def test_killed_worker_costs_nothing(tmp_path: Path) -> None:
    slide, steps = Trap(tmp_path / "killed", "kill"), list[Step]()
    threads = predict_slide(slide, predictor(), tmp_path / "threads", SlideOptions(shard_px=1024))
    options = SlideOptions(shard_px=1024, engine="ray", workers=2)
    found = predict_slide(
        slide, predictor(), tmp_path / "ray", options, progress=lambda _, step: steps.append(step)
    )
    assert (tmp_path / "killed").read_text().isdecimal()
    assert found["shards"] > 3
    assert min(found["objects"].values()) > 0
    assert found["objects"] == threads["objects"]
    assert files(tmp_path / "ray" / "slide") == files(tmp_path / "threads" / "slide")
    assert steps[-1].px_done == steps[-1].px_all
    assert steps[-1].nuclei == found["objects"]["nuclei"]


@needs_ray
@pytest.mark.usefixtures("two_workers")
def test_damaged_slide_is_told(tmp_path: Path) -> None:
    slide = Trap(tmp_path / "none", "damage")
    options = SlideOptions(shard_px=1024, engine="ray", workers=1)
    with pytest.raises(DataError, match=r"^slide: truncated or corrupt$"):
        predict_slide(slide, predictor(), tmp_path, options)


def test_without_ray_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    options = SlideOptions(shard_px=1024, engine="ray")
    with pytest.raises(DataError, match=r"pip install 'cerberus-bench\[ray\]'"):
        predict_slide(Trap(tmp_path, "kill"), predictor(), tmp_path, options)
