"""Trained on GlaS, tested on Lizard, which re-uses its images: through the verbs, with true names.

Which image of Lizard is which of GlaS, and of which patient, is the fold table of the package.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import consep, glas, lizard, pannuke
from PIL import Image
from scipy.io import savemat
from small_recipes import write_small_recipe
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.loaders import splits
from cerberus_bench.loaders.fold_table import fold_table
from cerberus_bench.loaders.phantom import mucosa_scene
from cerberus_bench.loaders.splits import RecordKey, held_out, refuse_test_fold
from cerberus_bench.schema.errors import DataError

ROWS = {row.lizard: row for row in fold_table() if row.origin.startswith("glas/")}
"""The 61 images of Lizard that are images of GlaS."""
COPIES = tuple(name for fold in (1, 2, 3) for name in sorted(ROWS) if ROWS[name].fold == fold)


def glas_name(lizard_name: str) -> str:
    return ROWS[lizard_name].origin.removeprefix("glas/")


def verb(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def harmonised(name: str, source: Path, out: Path) -> Path:
    verb("harmonize", name, "--source", source, "--out", out / name, "--allow-partial")
    return out / name


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All images that GlaS and Lizard share, in both, and a little CoNSeP."""
    source, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("data")
    patients = {glas_name(name): ROWS[name].group.rpartition("-")[2] for name in COPIES}
    sources = {
        "glas": glas.write(source / "glas", tuple(patients), patients),
        "lizard": lizard.write(source / "lizard", COPIES),
        "consep": consep.write(source / "consep"),
    }
    return {name: harmonised(name, root, out) for name, root in sources.items()}


@pytest.fixture(scope="module")
def model(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Glands from GlaS and nuclei from CoNSeP, with fold 3 held out."""
    out = tmp_path_factory.mktemp("run")
    recipe = write_small_recipe(out / "small.toml")
    data = ("--data", folders["glas"], "--data", folders["consep"])
    done = verb(
        *("train", "--tasks", "gland,nuclei", *data, "--recipe", recipe, "--out", out / "it"),
        *("--fold", 3),
    )
    return Path(done["model"])


def contamination(model: Path, data: Path, *options: object) -> dict[str, Any]:
    (one,) = verb("eval", model, "--data", data, "--out", model.parent / "results", *options)
    found: dict[str, Any] = one["result"]["contamination"]
    return found


def test_both_datasets_put_a_copy_and_its_original_in_one_split(folders: dict[str, Path]) -> None:
    report = verb("audit", folders["glas"], folders["lizard"])
    assert not [line for line in report["failures"] if "split" in line and "duplicates" not in line]
    assert report["torn_groups"] == []


def test_audit_recognises_the_copy_by_its_pixels(tmp_path: Path) -> None:
    """Lizard's images are resampled by 1.24 from those of GlaS; this one was also compressed."""
    name = "glas_56"
    scene = mucosa_scene(3, size=256).image
    gland_root = glas.write(tmp_path / "glas", (glas_name(name),), {glas_name(name): "2"})
    (bitmap,) = gland_root.rglob(f"{glas_name(name)}.bmp")
    Image.fromarray(scene).save(bitmap)
    Image.fromarray(np.pad(np.ones((9, 9), np.uint8), (0, 247))).save(
        bitmap.with_name(f"{bitmap.stem}_anno.bmp")
    )
    nuclei_root = lizard.write(tmp_path / "lizard", (name, "glas_1"))
    compressed = io.BytesIO()
    grown = Image.fromarray(scene).resize((317, 317), Image.Resampling.BICUBIC)
    grown.save(compressed, "JPEG", quality=75)
    Image.open(compressed).save(nuclei_root / "Lizard_Images1" / f"{name}.png")
    labels = lizard.labels()
    height, width = labels["inst_map"].shape
    labels["inst_map"] = np.pad(labels["inst_map"], ((0, 317 - height), (0, 317 - width)))
    savemat(nuclei_root / "Lizard_Labels" / "Labels" / f"{name}.mat", labels)
    data = [
        harmonised(dataset, root, tmp_path / "data")
        for dataset, root in (("glas", gland_root), ("lizard", nuclei_root))
    ]
    (found,) = verb("audit", *data)["duplicates"]
    assert {m["sample_id"] for m in found["members"]} == {"glas/train_1", "lizard/glas_56"}
    assert not found["is_exact"]
    assert found["is_linked"]  # the fold table knows it, so both lie in the test split
    assert {m["split"] for m in found["members"]} == {"test"}


def test_the_test_fold_of_lizard_was_held_out_of_glas(
    model: Path, folders: dict[str, Path]
) -> None:
    found = contamination(model, folders["lizard"])
    assert (found["status"], found["shared"], found["images"]) == ("clean", [], [])


@pytest.mark.parametrize("options", [("--fold", 1), ("--split", "official:fold_1")])
def test_another_test_fold_is_flagged_with_every_image_named(
    options: tuple[object, ...], model: Path, folders: dict[str, Path]
) -> None:
    found = contamination(model, folders["lizard"], *options)
    assert found["status"] == "contaminated"
    mine = [name for name in COPIES if ROWS[name].fold == 1]
    assert set(found["images"]) == {f"lizard/{name} ({ROWS[name].origin})" for name in mine}
    assert set(found["shared"]) == {ROWS[name].group for name in mine}
    assert f"{len(mine)} of the images themselves" in found["reason"]


def test_the_screen_names_them_too(model: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    command = ["eval", model, "--data", folders["lizard"], "--fold", 1, "--out", tmp_path]
    shown = CliRunner().invoke(app, [str(a) for a in command], catch_exceptions=False).stdout
    assert "contaminated" in shown
    assert "lizard/glas_1 (glas/testB_10)" in shown


def test_folder_with_other_folds_may_not_be_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder made without the fold table puts what Lizard tests on into its train split."""
    patients = {glas_name(name): ROWS[name].group.rpartition("-")[2] for name in COPIES}
    source = glas.write(tmp_path / "source", tuple(patients), patients)
    with monkeypatch.context() as without:
        without.setattr(splits, "fold_table", lambda: ())
        stale = harmonised("glas", source, tmp_path)
    command = ["train", "--tasks", "gland", "--data", str(stale), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, DataError)
    assert "fold 3 tests on patients or images of glas/" in str(done.exception)
    assert not (tmp_path / "run" / "model.pt").exists()


def test_refusal_sees_copies_of_other_datasets() -> None:
    held = next(row for row in fold_table() if row.lizard == "glas_56")  # fold 3
    key = RecordKey(sample_id="mine/1", group="mine/1", origins=(held.origin,))
    with pytest.raises(DataError, match="mine/1"):
        refuse_test_fold([key], 3)
    refuse_test_fold([key], 1)
    refuse_test_fold([RecordKey(sample_id="mine/2", group="mine/2", origins=("mine/2",))], 3)


def test_a_source_with_splits_of_its_own_that_shows_test_images_is_flagged(tmp_path: Path) -> None:
    """Lizard re-uses unknown colon tiles of PanNuke: any of them may be one that it tests on."""
    tiles = harmonised("pannuke", pannuke.write(tmp_path / "source"), tmp_path)
    recipe = write_small_recipe(tmp_path / "small.toml")
    command = ["train", "--tasks", "nuclei", "--data", tiles, "--recipe", recipe, "--json"]
    done = CliRunner().invoke(app, [str(a) for a in (*command, "--out", tmp_path / "run")])
    assert done.exit_code == 0, done.output
    colon = sum(tissues.count("Colon") for fold, tissues in pannuke.TISSUES.items() if fold < 3)
    found = json.loads(done.stdout)
    assert found["shares_test_fold"] == {"pannuke": colon}
    assert f"warning: {colon} records of pannuke that are trained on share images" in done.stderr
    lizard_root = lizard.write(tmp_path / "lizard-source", ("pannuke_1", "crag_38"))
    data = harmonised("lizard", lizard_root, tmp_path)
    fold = next(row.fold for row in fold_table() if row.lizard == "pannuke_1")
    assert contamination(Path(found["model"]), data, "--fold", fold)["status"] == "contaminated"


def test_sources_of_which_nothing_is_tested_elsewhere_raise_no_flag() -> None:
    keys = [RecordKey(sample_id=f"mine/{i}", group="mine/g", origins=("mine/o",)) for i in "ab"]
    assert [held_out(keys, fold) for fold in (1, 2, 3)] == [[], [], []]
