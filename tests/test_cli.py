"""The command line from end to end, on small fakes in the true layout: answers and errors."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fakes import glas
from PIL import Image
from small_recipes import write_small_recipe
from typer.testing import CliRunner

import cerberus_bench as cb
from cerberus_bench.cli.app import app
from cerberus_bench.model_zoo import create, make_card, save_model
from cerberus_bench.schema.errors import CerberusBenchError, DataError
from cerberus_bench.workflows.harmonize import harmonize

RANDOM = "random:single-gland-tiny"
ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object) -> str:
    """Output of a verb that must succeed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> CerberusBenchError:
    """The error of a verb that must not succeed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(result.exception, CerberusBenchError), result.output
    return result.exception


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return glas.write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def data(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "glas"
    harmonize("glas", source, out, allow_partial=True)
    return out


@pytest.fixture(scope="module")
def evaluated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Results folder of one evaluation with report and predictions, and its JSON."""
    out = tmp_path_factory.mktemp("results")
    printed = run(
        *("eval", RANDOM, "--data", data, "--out", out / "results", "--report", "--json"),
        *("--predictions", out / "predictions"),
    )
    (one,) = json.loads(printed)
    return out, one


def test_list_knows_datasets_models_and_tasks() -> None:
    datasets = json.loads(run("list", "--json"))
    assert {"phantom", "glas", "consep", "monuseg"} <= {row["name"] for row in datasets}
    (own,) = (row for row in datasets if row["name"] == "folder")
    assert (own["state"], own["images"], own["mpp"]) == ("yours", None, None)
    assert "harmonize folder --source" in own["how_to_get"]
    assert all(row.keys() == own.keys() for row in datasets)
    rings = json.loads(run("list", "--task", "signet_ring", "--json"))
    assert rings
    assert "folder" not in {row["name"] for row in rings}
    glands = json.loads(run("list", "models", "--task", "gland", "--json"))
    assert all("gland" in row["tasks"] for row in glands)
    assert len(json.loads(run("list", "tasks", "--json"))) == 5
    assert "glands" in str(refused("list", "--task", "glands"))


def test_page_of_the_datasets_is_up_to_date() -> None:
    page = run("list", "datasets", "--markdown")
    assert (ROOT / "docs/datasets.md").read_text(encoding="utf-8") == page, (
        "write it again: cerberus-bench list datasets --markdown > docs/datasets.md"
    )
    assert "| [glas](#glas) | gland | 165 | 1,530 gland | 0.62005 |" in page
    assert "--markdown" in str(refused("list", "tasks", "--markdown"))
    assert "--markdown" in str(refused("list", "--task", "gland", "--markdown"))


def test_models_that_come_with_the_suite_have_cards() -> None:
    page = run("list", "models", "--markdown")
    assert (ROOT / "docs/models.md").read_text(encoding="utf-8") == page, (
        "write it again: cerberus-bench list models --markdown > docs/models.md"
    )
    kept = {path.name for path in (ROOT / "docs/results").iterdir()}
    titles = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert {title.replace(":", "_") for title in titles} <= kept
    rows = {row["name"]: row for row in json.loads(run("list", "models", "--json"))}
    assert "phantom 1.0.0, train" in rows["cerberus-tiny"]["card"]["Trained on"]
    assert "Ruifrok" in rows["classical-watershed"]["card"]["Sources"]
    assert rows["cerberus-resnet34"]["card"] is None
    assert rows["classical-watershed"]["card"]["Fails"] in page


def test_help_comes_in_half_a_second_without_heavy_imports() -> None:
    code = (
        "import sys; from cerberus_bench.cli import main; sys.argv = ['x', '--help']\n"
        "try: main()\n"
        "finally: print(sorted(m for m in ('torch', 'datasets', 'pandas') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip().endswith("[]")


def test_harmonize_refuses_a_partial_source_and_says_what_is_missing(
    source: Path, tmp_path: Path
) -> None:
    error = refused("harmonize", "glas", "--source", source, "--out", tmp_path / "out")
    assert error.exit_code == 2
    assert "testA" in str(error)
    assert "--allow-partial" in str(error)
    assert not list(tmp_path.iterdir())
    said = run(
        "harmonize", "glas", "--source", source, "--out", tmp_path / "out", "--allow-partial"
    )
    assert "21 objects in the source" in said
    assert "missing: 59 testA" in said


def test_a_corrupt_zip_is_one_clear_error(source: Path, tmp_path: Path) -> None:
    whole = tmp_path / "glas.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for path in source.rglob("*.*"):
            archive.write(path, path.relative_to(source))
    broken = tmp_path / "broken.zip"
    broken.write_bytes(whole.read_bytes()[:-200])
    error = refused("harmonize", "glas", "--source", broken, "--out", tmp_path / "out")
    assert "broken.zip" in str(error)
    assert not (tmp_path / "out").exists()


def test_an_image_of_the_wrong_mode_is_named(source: Path, tmp_path: Path) -> None:
    copy = glas.write(tmp_path / "s")
    (image,) = copy.rglob("train_1.bmp")
    with Image.open(image) as picture:
        picture.convert("L").save(image)
    error = refused(
        *("harmonize", "glas", "--source", copy, "--out", tmp_path / "out", "--allow-partial")
    )
    assert "train_1.bmp" in str(error)
    assert not (tmp_path / "out").exists()


def test_a_label_map_of_another_size_is_named(source: Path, tmp_path: Path) -> None:
    copy = glas.write(tmp_path / "s")
    (labels,) = copy.rglob("train_1_anno.bmp")
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(labels)
    error = refused(
        *("harmonize", "glas", "--source", copy, "--out", tmp_path / "out", "--allow-partial")
    )
    assert "train_1" in str(error)


def test_eval_writes_a_result_a_report_and_predictions(evaluated: tuple[Path, dict]) -> None:
    out, one = evaluated
    result = one["result"]
    assert Path(one["result_path"]).is_file()
    page = Path(one["report_path"]).read_text()
    assert "<html" in page
    assert RANDOM in page
    assert result["model"]["kind"] == "single"
    assert result["contamination"]["status"] == "clean"
    metrics = {score["metric"] for score in result["report"]["scores"]}
    assert {"dice", "aji", "pq", "f1", "object_f1", "object_dice", "object_hausdorff"} <= metrics
    units = {s["unit"] for s in result["report"]["scores"] if s["metric"] == "object_hausdorff"}
    assert units == {"um", "px"}
    assert (out / "predictions" / "glas" / "manifest.json").is_file()


def test_score_of_the_kept_predictions_is_the_same_report(
    evaluated: tuple[Path, dict], data: Path, tmp_path: Path
) -> None:
    out, one = evaluated
    folder = out / "predictions" / "glas"
    (again,) = json.loads(run("score", folder, "--data", data, "--out", tmp_path, "--json"))
    assert again["result"]["report"] == one["result"]["report"]
    assert again["result"]["model"] == one["result"]["model"]


def test_eval_prints_a_table(data: Path, tmp_path: Path) -> None:
    said = run("eval", RANDOM, "--data", data, "--out", tmp_path, "--split", "validation")
    assert "object_hausdorff (um)" in said
    assert "result" in said


def test_an_official_part_is_marked_and_names_the_shared_patients(
    data: Path, tmp_path: Path
) -> None:
    split = "official:testB"
    said = run("eval", RANDOM, "--data", data, "--out", tmp_path, "--split", split)
    assert "contaminated" in said
    assert "glas/patient-2" in said
    assert "glas/patient-5" in said


def test_an_empty_split_lists_those_present(data: Path, tmp_path: Path) -> None:
    error = refused("eval", RANDOM, "--data", data, "--split", "official:testC")
    assert error.exit_code == 2
    assert "official:testB" in str(error)


def test_the_board_compares_two_models_with_intervals(
    evaluated: tuple[Path, dict], data: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    for model in (RANDOM, "random:cerberus-tiny"):
        run("eval", model, "--data", data, "--out", results)
    board = json.loads(run("leaderboard", results, "--json"))
    assert {row["model"] for row in board["rows"]} == {RANDOM, "random:cerberus-tiny"}
    assert board["pairs"]
    assert run("leaderboard", results, "--markdown").count(RANDOM)
    assert run("leaderboard", results, "--csv").count("\n") == len(board["rows"]) + 1


def test_a_doctored_result_is_refused(evaluated: tuple[Path, dict], tmp_path: Path) -> None:
    _, one = evaluated
    record = json.loads(Path(one["result_path"]).read_text())
    dice = next(s for s in record["report"]["scores"] if s["metric"] == "dice")
    dice["value"] = 0.99
    (tmp_path / "result.json").write_text(json.dumps(record))
    error = refused("leaderboard", tmp_path)
    assert "result.json" in str(error)


def test_a_model_file_with_a_pickled_module_is_refused(data: Path, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(1, 1), path)
    error = refused("eval", path, "--data", data)
    assert "model.pt" in str(error)


def test_code_is_not_run_without_trust(data: Path, tmp_path: Path) -> None:
    error = refused("eval", "antigravity:run", "--data", data)
    assert "--trust" in str(error)
    assert "antigravity" not in sys.modules


def test_a_model_of_ones_own(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_test.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    tasks = ('gland',)\n"
        "    def predict(self, image):\n"
        "        return {'gland': (image.mean(axis=2) < 128).astype(np.int32)}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (result,) = cb.evaluate("mine_for_test:Mine", data=[str(data)], trust=True)
    assert result.model.tasks == ["gland"]
    assert result.contamination.status == "unknown"


def test_export_png(data: Path, tmp_path: Path) -> None:
    run("export", data, "--format", "png", "--out", tmp_path / "png", "--split", "train")
    records = json.loads((tmp_path / "png" / "records.json").read_text())
    labels = np.asarray(Image.open(tmp_path / "png" / "gland" / records[0]["file"]))
    assert set(np.unique(labels)) - {0} == {int(i) for i in records[0]["classes"]["gland"]}
    assert "exists" in str(refused("export", data, "--format", "png", "--out", tmp_path / "png"))


def test_export_coco_opens_in_pycocotools(data: Path, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    run("export", data, "--format", "coco", "--out", tmp_path / "coco", "--split", "train")
    coco = COCO(str(tmp_path / "coco" / "annotations.json"))
    truth = cb.load(str(data), split="train")
    assert len(coco.imgs) == len(truth)
    first = np.asarray(truth[0]["gland"])
    masks = [coco.annToMask(a) for a in coco.imgToAnns[1]]
    for number, mask in zip(np.unique(first)[1:], masks, strict=True):
        np.testing.assert_array_equal(mask.astype(bool), first == number)
    assert min(coco.anns) == 1


def test_predict_plain_images(data: Path, tmp_path: Path) -> None:
    image = cb.load(str(data), split="train")[0]["image"]
    image.save(tmp_path / "a.png")
    out = tmp_path / "out"
    said = run(
        *("predict", tmp_path / "a.png", "--model", RANDOM, "--mpp", 0.5, "--out", out, "--json")
    )
    (summary,) = json.loads(said)
    assert summary["size_px"] == list(image.size)
    assert {p.name for p in (out / "a").iterdir()} == {
        "gland.png",
        "objects.csv",
        "overlay.png",
        "summary.json",
    }
    labels = np.asarray(Image.open(out / "a" / "gland.png"))
    assert labels.shape == image.size[::-1]
    assert len(np.unique(labels)) - (0 in labels) == summary["objects"]["gland"]
    Image.fromarray(labels).save(tmp_path / "grey.png")
    error = refused("predict", tmp_path / "grey.png", "--model", RANDOM, "--mpp", 0.5)
    assert "RGB" in str(error)


def test_prediction_writer_then_score(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    with cb.PredictionWriter(out, data=data, tasks=["gland"], model="truth") as writer:
        for row in cb.load(str(data), split="test"):
            writer.add(row["sample_id"], gland=np.asarray(row["gland"]))
    (done,) = json.loads(run("score", out, "--data", data, "--out", tmp_path / "r", "--json"))
    scores = {
        s["metric"]: s["value"]
        for s in done["result"]["report"]["scores"]
        if s["averaging"] == "pooled" and s["class_name"] is None
    }
    for metric in ("pq", "dice", "aji", "f1", "object_f1", "object_dice"):
        assert scores[metric] == 1
    assert scores["object_hausdorff"] == 0


def test_prediction_writer_refuses_what_does_not_fit(data: Path, tmp_path: Path) -> None:
    row = cb.load(str(data), split="test")[0]
    writer = cb.PredictionWriter(tmp_path / "mine", data=data, tasks=["gland"])
    with pytest.raises(DataError, match="shape"):
        writer.add(row["sample_id"], gland=np.zeros((3, 3), int))
    with pytest.raises(DataError, match="not a sample"):
        writer.add("glas/none", gland=np.zeros((3, 3), int))
    with pytest.raises(DataError, match="float64"):
        writer.add(row["sample_id"], gland=np.zeros(row["image"].size[::-1]))
    with pytest.raises(DataError, match="nuclei"):
        writer.add(row["sample_id"], nuclei=np.zeros(row["image"].size[::-1], int))


def test_convert_refuses_what_is_no_checkpoint(tmp_path: Path) -> None:
    model = create("single-gland-tiny")
    path = save_model(tmp_path / "m.pt", model, make_card(model, "single-gland-tiny"))
    error = refused("convert", path, tmp_path / "out.pt")
    assert "checkpoint" in str(error)
    assert not (tmp_path / "out.pt").exists()


def test_errors_are_one_line_on_stderr_with_an_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cerberus_bench", "leaderboard", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for two steps, through the command line."""
    out = tmp_path_factory.mktemp("runs") / "glands"
    recipe = write_small_recipe(out.parent / "short.toml")
    said = run(
        *("train", "--tasks", "gland", "--data", data, "--recipe", recipe, "--out", out, "--json")
    )
    assert json.loads(said)["steps"] == 2
    return out / "model.pt"


def test_train_then_eval_is_clean_on_test_and_contaminated_on_train(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    status = {}
    for split in ("test", "train"):
        printed = run(
            *("eval", trained, "--data", data, "--split", split, "--out", tmp_path, "--json")
        )
        (one,) = json.loads(printed)
        status[split] = one["result"]["contamination"]["status"]
        assert one["result"]["model"]["architecture"] == "cerberus-tiny"
    assert status == {"test": "clean", "train": "contaminated"}


def test_train_does_not_overwrite_a_run(trained: Path, data: Path) -> None:
    error = refused("train", "--tasks", "gland", "--data", data, "--out", trained.parent)
    assert "--resume" in str(error)


def test_train_refuses_unknown_tasks_recipes_and_data(data: Path, tmp_path: Path) -> None:
    for arguments in (
        ("--tasks", "glands", "--data", data),
        ("--data", data, "--recipe", "nonsense"),
        ("--data", tmp_path / "nothing"),
        ("--tasks", "nuclei", "--data", data),
    ):
        assert refused("train", *arguments, "--out", tmp_path / "run").exit_code == 2
