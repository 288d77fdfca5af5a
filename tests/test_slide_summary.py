"""A slide in numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from slide_objects import SPACES, facts, toy_objects

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.geoparquet import write_objects
from cerberus_bench.slides.objects import OBJECTS
from cerberus_bench.slides.summary import read_summary, summarise, write_summary

HALF = np.repeat([[True], [False]], 5, axis=0)


@pytest.fixture(scope="module")
def toy() -> pa.Table:
    return toy_objects()


@pytest.fixture(scope="module")
def objects(toy: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "objects.parquet"
    write_objects([toy], path, slide=facts())
    return path


def places(*classes: str) -> pa.Table:
    names = SPACES["tissue"].classes
    columns = {name: [0.6 if name == c else 0.05 for c in classes] for name in names}
    zeros = [0.0] * len(classes)
    return pa.table({"x": zeros, "y": zeros, **columns})


def test_counts_and_densities_by_hand(tmp_path: Path) -> None:
    """Three objects on a slide of 4000 x 2000 px of 0.25 um, half of it tissue: 0.25 mm2."""
    kinds: list[tuple[str, str | None, float]] = [
        ("nuclei", "lymphocyte", 20.0),
        ("nuclei", "lymphocyte", 40.0),
        ("nuclei", None, 30.0),
        ("gland", "gland", 5000.0),
        ("gland", "gland", 7000.0),
        ("lumen", "lumen", 3000.0),
    ]
    ring = [{"x": x, "y": y} for x, y in ((0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 0.5))]
    rows = [
        {"task": t, "class": c, "score": 1.0, "area_um2": a, "x": 1.0, "y": 1.0, "geometry": [ring]}
        for t, c, a in kinds
    ]
    write_objects(
        [pa.Table.from_pylist(rows, schema=OBJECTS)],
        tmp_path / "objects.parquet",
        slide=facts(4000, 2000),
    )
    tables = [places("stroma", "stroma"), places("mucus", "stroma"), places()]
    found = summarise(tmp_path / "objects.parquet", mask=HALF, tissue=tables).model_dump()
    assert found["tissue_mm2"] == 0.25
    assert found["lumen_share_of_glands"] == 0.25
    nuclei, gland = found["objects"]["nuclei"], found["objects"]["gland"]
    assert (nuclei["n"], nuclei["per_mm2"], nuclei["area_um2"]) == (3, 12.0, None)
    assert nuclei["area_mm2"] == pytest.approx(90e-6)
    assert nuclei["classes"]["lymphocyte"] == {
        "n": 2,
        "per_mm2": 8.0,
        "share": 2 / 3,
        "area_mean_um2": 30.0,
    }
    assert nuclei["classes"]["none"]["n"] == 1
    assert nuclei["classes"]["plasma"] == {
        "n": 0,
        "per_mm2": 0.0,
        "share": 0.0,
        "area_mean_um2": None,
    }
    assert gland["area_um2"] == {"mean": 6000.0, "q1": 5500.0, "median": 6000.0, "q3": 6500.0}
    assert found["tissue"]["n_places"] == 4
    shares = {name: share for name, share in found["tissue"]["shares"].items() if share}
    assert shares == {"stroma": 0.75, "mucus": 0.25}


def test_it_agrees_with_the_objects(toy: pa.Table, objects: Path) -> None:
    found = summarise(objects, mask=HALF)
    frame = toy.select(["task", "class", "area_um2"]).to_pandas()
    for task, summary in found.objects.items():
        mine = frame[frame["task"] == task]
        assert summary.n == len(mine) == sum(c.n for c in summary.classes.values())
        assert summary.area_mm2 == pytest.approx(mine["area_um2"].sum() / 1e6, rel=1e-6)
        for name, one in summary.classes.items():
            area = mine.loc[mine["class"] == name, "area_um2"].astype(float)
            assert one.n == len(area)
            assert one.area_mean_um2 == (pytest.approx(area.mean()) if len(area) else None)
    assert set(found.objects) == {"nuclei", "gland", "lumen"}
    assert found.tissue is not None
    assert (found.tissue.n_places, found.tissue.shares) == (0, {})


def test_a_slide_without_tissue_has_no_densities(tmp_path: Path) -> None:
    write_objects([], tmp_path / "objects.parquet", slide=facts())
    found = summarise(tmp_path / "objects.parquet", mask=np.zeros((4, 4), bool))
    assert found.tissue_mm2 == 0
    assert found.objects["nuclei"].per_mm2 is None
    assert found.objects["gland"].area_um2 is None
    assert found.lumen_share_of_glands is None


def test_files_read_back_and_repeat(objects: Path, tmp_path: Path) -> None:
    found = summarise(objects, mask=HALF)
    for name in ("a.json", "b.json"):
        write_summary(found, tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_summary(tmp_path / "a.json") == found


def damaged(document: dict[str, Any]) -> None:
    document["objects"]["nuclei"]["n"] = -1


def extended(document: dict[str, Any]) -> None:
    document["surprise"] = 1


@pytest.mark.parametrize("spoil", [damaged, extended])
def test_wrong_summaries_are_named(objects: Path, tmp_path: Path, spoil: Any) -> None:
    path = tmp_path / "summary.json"
    write_summary(summarise(objects, mask=HALF), path)
    document = json.loads(path.read_text())
    spoil(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"summary\.json is no summary of a slide"):
        read_summary(path)
    with pytest.raises(DataError, match=r"nothing\.json cannot be read"):
        read_summary(tmp_path / "nothing.json")


def test_tissue_tables_of_other_classes_are_refused(objects: Path) -> None:
    with pytest.raises(DataError, match="no columns"):
        summarise(objects, mask=HALF, tissue=[pa.table({"stroma": [1.0]})])
