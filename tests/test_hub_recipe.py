"""Recipes: what they hold, and what a rebuild from the source proves."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fakes import glas
from hub_data import glas_folder, glas_source, home
from loopback_hub import LoopbackHub, hub, running_hub
from PIL import Image

from cerberus_bench.hub.recipe import read_recipe
from cerberus_bench.loaders.table import open_table
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.harmonize import harmonize
from cerberus_bench.workflows.pull import parse_place, pull
from cerberus_bench.workflows.push import push

__all__ = ["glas_folder", "glas_source", "home", "hub", "running_hub"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "org/glas"
N = len(glas.PATIENTS)


@pytest.fixture
def recipe(hub: LoopbackHub, home: Path, glas_folder: Path) -> str:
    """The place of a published recipe."""
    push(str(glas_folder), REPO)
    return f"{REPO}@v1.0.0"


def rebuild(source: Path, recipe: str | None = None, **how: object) -> int:
    """Records that were proved equal."""
    done = harmonize("glas", source, Path("data/glas"), allow_partial=True, recipe=recipe, **how)
    return next((n for what, n in done.notes.items() if "records equal" in what), 0)


def flip_one_pixel(source: Path, name: str, place: tuple[int, int] = (20, 30)) -> None:
    """Change one value of one pixel by one."""
    path = source / glas.FOLDER / name
    pixels = np.array(Image.open(path))
    pixels[place] ^= 1
    Image.fromarray(pixels).save(path)


@pytest.fixture
def copied(glas_source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(glas_source, tmp_path / "copied"))


def test_recipe_holds_ids_splits_classes_and_hashes(recipe: str, glas_folder: Path) -> None:
    pulled = pull(parse_place(recipe))
    found = read_recipe(pulled.folder, recipe)
    table = open_table(glas_folder, split="all")
    assert found.recipe.class_map == {"gland": {"gland": "gland"}}
    assert found.recipe.splits == table.metadata.splits
    assert found.recipe.fingerprint == table.fingerprint
    assert tuple(record.sample_id for record in found.records) == table.sample_ids
    first = found.records[0]
    assert set(first.parts) == {"image", "gland"}
    assert first.group.startswith("glas/patient-")
    assert sum(path.stat().st_size for path in pulled.folder.iterdir()) < 20_000


def test_a_rebuild_from_the_archive_is_proved(
    recipe: str, glas_source: Path, glas_folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "glas.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(glas_source.rglob("*.*")):
            packed.write(path, path.relative_to(glas_source))
    assert rebuild(archive, recipe) == N
    rebuilt = open_data("glas", split="all")
    assert rebuilt.fingerprint == open_table(glas_folder, split="all").fingerprint
    for path in (glas_folder / "data").iterdir():
        assert Path("data/glas/data", path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "part"), [("train_2.bmp", "image"), ("train_2_anno.bmp", "gland")]
)
def test_one_flipped_pixel_is_found_and_named(
    name: str, part: str, recipe: str, copied: Path
) -> None:
    flip_one_pixel(copied, name)
    with pytest.raises(DataError) as refused:
        rebuild(copied, recipe)
    said = str(refused.value)
    assert said.startswith(f"1 of {N} records are not those of {REPO}@")
    assert "glas/train_2 " in said
    assert "its source file is" in said
    assert part in said or "has equal arrays" in said
    assert not Path("data/glas").exists()


def test_what_stood_there_stays_when_the_proof_fails(
    recipe: str, copied: Path, glas_source: Path
) -> None:
    rebuild(glas_source, recipe)
    before = Path("data/glas/dataset.json").read_bytes()
    flip_one_pixel(copied, "train_1.bmp")
    with pytest.raises(DataError, match="glas/train_1"):
        rebuild(copied, recipe)
    assert Path("data/glas/dataset.json").read_bytes() == before
    assert [path.name for path in Path("data").iterdir()] == ["glas"]


def test_missing_surplus_and_moved_records_are_named(
    recipe: str, glas_source: Path, copied: Path, tmp_path: Path
) -> None:
    for name in ("testB_1.bmp", "testB_1_anno.bmp"):
        (copied / glas.FOLDER / name).unlink()
    assert rebuild(copied, recipe) == N - 1
    with pytest.raises(DataError, match=r"is not all of glas"):
        harmonize("glas", copied, Path("data/glas"), recipe=recipe)
    pulled = pull(parse_place(recipe))
    folder = tmp_path / "recipe"
    shutil.copytree(pulled.folder, folder)
    lines = (folder / "records.jsonl").read_text().splitlines()
    first = json.loads(lines[0]) | {"split": "elsewhere"}
    (folder / "records.jsonl").write_text("\n".join([json.dumps(first), *lines[2:]]))
    with pytest.raises(DataError, match=r"differs in split.* is not in the recipe"):
        rebuild(glas_source, str(folder))
    (folder / "records.jsonl").write_text('{"sample_id": 3}')
    with pytest.raises(DataError, match="sample_id: Input should be a valid string"):
        rebuild(glas_source, str(folder))


def test_a_pulled_recipe_is_remembered(recipe: str, glas_source: Path, copied: Path) -> None:
    assert rebuild(glas_source) == 0
    pull(parse_place(recipe))
    assert rebuild(glas_source) == N
    assert rebuild(glas_source, "none") == 0
    assert rebuild(glas_source, mpp=None) == 0
    with pytest.raises(DataError, match=r"was made with mpp 0.5, the rebuilt dataset has None"):
        rebuild(glas_source, recipe, mpp=None)
    flip_one_pixel(copied, "testA_1.bmp")
    with pytest.raises(DataError, match="glas/testA_1"):
        rebuild(copied)
