"""Many slides as one table, and the verb that writes it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from slide_objects import facts, toy_objects
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.geoparquet import write_objects
from cerberus_bench.slides.summary import SlideSummary, read_summary, summarise, write_summary
from cerberus_bench.workflows.cohort import cohort


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> SlideSummary:
    path = tmp_path_factory.mktemp("one") / "objects.parquet"
    write_objects([toy_objects()], path, slide=facts())
    return summarise(path, mask=np.array([[True, False]]))


def add(folder: Path, summary: SlideSummary, name: str, **changes: Any) -> None:
    """A slide of another name and with other numbers in a folder of predictions."""
    (folder / name).mkdir(parents=True)
    slide = summary.slide.model_copy(update={"name": name})
    update = {"slide": slide, **changes}
    write_summary(summary.model_copy(update=update), folder / name / "summary.json")


@pytest.fixture
def folder(summary: SlideSummary, tmp_path: Path) -> Path:
    out = tmp_path / "predictions"
    add(out, summary, "b-slide")
    add(out, summary, "a-slide", tissue_mm2=1.5, lumen_share_of_glands=None)
    (out / "c-slide").mkdir()
    (out / "c-slide" / "plan.json").write_text("{}")
    (out / "notes").mkdir()
    return out


def test_one_row_a_slide(folder: Path, summary: SlideSummary) -> None:
    done = cohort(folder)
    assert [row["slide"] for row in done["rows"]] == ["a-slide", "b-slide"]
    assert done["unfinished"] == ["c-slide"]
    row = done["rows"][1]
    nuclei, gland = summary.objects["nuclei"], summary.objects["gland"]
    assert gland.area_um2 is not None
    expected = {
        "tissue_mm2": summary.tissue_mm2,
        "nuclei_n": nuclei.n,
        "nuclei_per_mm2": nuclei.per_mm2,
        "nuclei_plasma_n": nuclei.classes["plasma"].n,
        "nuclei_plasma_share": nuclei.classes["plasma"].share,
        "nuclei_plasma_area_mean_um2": nuclei.classes["plasma"].area_mean_um2,
        "gland_area_q3_um2": gland.area_um2.q3,
        "gland_surface_epithelium_per_mm2": gland.classes["surface_epithelium"].per_mm2,
        "lumen_share_of_glands": summary.lumen_share_of_glands,
        "tissue_n_places": 0,
    }
    assert {name: row[name] for name in expected} == expected
    assert done["rows"][0]["tissue_mm2"] == 1.5
    assert done["rows"][0]["lumen_share_of_glands"] is None
    assert not [name for name in row if "none" in name]
    assert list(row) == list(done["columns"])
    assert all(done["columns"].values())


def test_the_folder_opens_like_a_dataset(folder: Path, tmp_path: Path) -> None:
    import datasets

    done = cohort(folder, tmp_path / "out")
    loaded = datasets.load_dataset(
        str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows = loaded.to_list()
    assert rows == done["rows"]
    frame = pd.read_csv(tmp_path / "out" / "cohort.csv")
    assert frame["slide"].tolist() == ["a-slide", "b-slide"]
    assert frame["nuclei_per_mm2"].tolist() == [row["nuclei_per_mm2"] for row in rows]
    _, front, body = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["configs"][0]["data_files"] == "cohort.parquet"
    field = pq.read_schema(tmp_path / "out" / "cohort.parquet").field("tissue_mm2")
    assert field.metadata[b"description"].decode() in body
    assert all(f"| {name} |" in body for name in done["columns"])


def test_writing_again_gives_the_same_bytes(folder: Path) -> None:
    contents = []
    for _ in range(2):
        cohort(folder)
        contents.append({p.name: p.read_bytes() for p in (folder / "cohort").iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"cohort.parquet", "cohort.csv", "README.md"}


def test_slides_of_different_models_do_not_mix(folder: Path, summary: SlideSummary) -> None:
    other = summary.model.model_copy(update={"sha256": "0" * 64})
    add(folder, summary, "d-slide", model=other)
    with pytest.raises(DataError, match=r"a-slide was read by cerberus-tiny, d-slide by .*0000"):
        cohort(folder)


def test_exact_and_fast_runs_of_one_model_do_not_mix(folder: Path, summary: SlideSummary) -> None:
    for name, run in (("d-slide", "exact fp32 torch"), ("e-slide", "fast bf16 torch")):
        add(folder, summary, name, model=summary.model.model_copy(update={"run": run}))
    with pytest.raises(DataError, match=r"d-slide by cerberus-tiny \(exact fp32 torch\)"):
        cohort(folder)


def test_two_slides_of_one_name_are_refused(folder: Path, summary: SlideSummary) -> None:
    add(folder, summary, "copy")
    copied = read_summary(folder / "b-slide" / "summary.json")
    write_summary(copied, folder / "copy" / "summary.json")
    with pytest.raises(DataError, match="two slides are called b-slide"):
        cohort(folder)


def test_folders_without_slides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        cohort(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"no slide with a summary\.json"):
        cohort(tmp_path)


def test_the_verb(folder: Path) -> None:
    shown = CliRunner().invoke(app, ["cohort", str(folder)], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "c-slide" in shown.stdout
    assert "2 slides" in shown.stdout
    printed = CliRunner().invoke(app, ["cohort", str(folder), "--json"], catch_exceptions=False)
    assert [row["slide"] for row in json.loads(printed.stdout)["rows"]] == ["a-slide", "b-slide"]
