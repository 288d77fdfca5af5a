"""What a report shows of a task beyond its scores: numbers from toy images worked by hand."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from result_builders import make_result, make_score

from cerberus_bench.eval.score import Scorer
from cerberus_bench.pictures import evaluation_report
from cerberus_bench.pictures.breakdown import Breakdown, CalibrationBin, Part, SizeBin
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.record import Coverage, Instances, Record
from cerberus_bench.workflows.breakdown import UNNAMED, Observations, find_breakdowns
from cerberus_bench.workflows.examples import find_examples

SPACES = {
    "nuclei": LabelSpace("nuclei", ("epithelial", "lymphocyte")),
    "tissue": LabelSpace("tissue", ("stroma", "mucus")),
}
MPP = 0.5
ATTACK = "<img src=x onerror=alert(1)>"


def row_of(sides: list[int]) -> NDArray[np.int32]:
    """Squares of these sides in a row, ids from 1; a side of 0 leaves its id out."""
    labels = np.zeros((16, 16 * len(sides)), np.int32)
    for i, side in enumerate(sides):
        labels[:side, 16 * i : 16 * i + side] = i + 1
    return labels


def scored(*images: tuple[str, str, list[int], list[int]]) -> tuple[Scorer, Observations, list]:
    """Images of (sample, grade, sides of the truth, sides of the prediction)."""
    scorer, observed = Scorer(SPACES, SPACES), Observations(SPACES, SPACES)
    pairs = []
    for sample, grade, sides, found in images:
        truth, prediction = row_of(sides), row_of(found)
        ids, found_ids = (np.unique(m[m > 0]).astype(np.int64) for m in (truth, prediction))
        record = Record(
            sample_id=f"toy/{sample}",
            dataset="toy",
            record=sample,
            image=np.zeros((*truth.shape, 3), np.uint8),
            mpp=MPP,
            native_mpp=MPP,
            coverage={"nuclei": Coverage.FULL, "tissue": Coverage.FULL},
            group=f"toy/{sample[0]}",
            group_level="slide",
            instances={"nuclei": Instances(truth, ids, np.ones_like(ids))},
            tissue=0,
            attributes={"grade": grade, "serial": sample},
        )
        guess = PredictedInstances(
            prediction, found_ids, 1 + (found_ids == 2), np.ones(len(found_ids))
        )
        tissue = np.array([0.9, 0.1] if grade == "low" else [0.25, 0.75])
        pair = (
            record,
            Prediction(sample_id=record.sample_id, instances={"nuclei": guess}, tissue=tissue),
        )
        scorer.add(*pair)
        observed.add(*pair)
        pairs.append(pair)
    return scorer, observed, pairs


@pytest.fixture(scope="module")
def toy() -> dict[str, Breakdown]:
    """Two images of one group done right, one of another group of which half is missed."""
    scorer, observed, _ = scored(
        ("a1", "low", [4, 8], [4, 8]),
        ("a2", "low", [4, 8], [4, 8]),
        ("b1", "", [4, 12], [4, 6]),
    )
    return {one.task: one for one in find_breakdowns(scorer, observed)}


def test_images_groups_and_slices(toy: dict[str, Breakdown]) -> None:
    nuclei = toy["nuclei"]
    assert (nuclei.metric, nuclei.values, nuclei.n_undefined) == ("PQ", [1.0, 1.0, 0.5], 0)
    assert nuclei.quartiles == (0.75, 1.0, 1.0)
    assert (nuclei.histogram[10], nuclei.histogram[-1], sum(nuclei.histogram)) == (1, 2, 3)
    assert nuclei.groups == [Part("toy/b", 1, 2, 0.5), Part("toy/a", 2, 4, 1.0)]
    assert nuclei.slices["grade"] == [Part(UNNAMED, 1, 2, 0.5), Part("low", 2, 4, 1.0)]
    assert "organ" not in nuclei.slices, "one value is no slice"


def test_a_slice_of_three_groups_has_the_interval_of_their_bootstrap() -> None:
    found = {"a": 1, "b": 3, "c": 6, "d": 7, "e": 2}  # of seven objects
    images = [
        (f"{group}{i}", "low" if group in "abc" else "high", [8] * 7, [8] * n + [0] * (7 - n))
        for group, n in found.items()
        for i in range(2)
    ]
    scorer, observed, _ = scored(*images)
    low, high = sorted(
        find_breakdowns(scorer, observed)[0].slices["grade"], key=lambda p: -p.n_groups
    )
    assert (low.name, low.n_groups, low.n_images) == ("low", 3, 6)
    rng = np.random.default_rng(1)  # slowly: patients drawn one by one, counts pooled anew
    values = []
    for _ in range(2000):
        drawn = [list(found.values())[i] for i in rng.integers(0, 3, 3)]
        tp, missed = 2 * sum(drawn), 2 * sum(7 - n for n in drawn)
        values.append(tp / (tp + missed / 2))
    assert (low.low, low.high) == pytest.approx(np.percentile(values, [2.5, 97.5]))
    assert low.low is not None
    assert low.low < low.value < low.high  # type: ignore[operator]
    assert (high.n_groups, high.low, high.high) == (2, None, None)


def test_sizes_and_counts(toy: dict[str, Breakdown]) -> None:
    nuclei = toy["nuclei"]
    areas = [(one.low_um2, one.n_objects, one.n_found) for one in nuclei.sizes]
    assert areas == [(4.0, 3, 3), (16.0, 2, 2), (36.0, 1, 0)]
    assert nuclei.object_counts == [(2, 2), (2, 2), (2, 2)]
    assert (nuclei.count_bias, nuclei.count_error, nuclei.count_limit) == (0.0, 0.0, 2)


def test_classes_and_calibration(toy: dict[str, Breakdown]) -> None:
    nuclei, tissue = toy["nuclei"], toy["tissue"]
    assert nuclei.classes == ["Epithelial", "Lymphocyte"]
    assert nuclei.confusion == [[3, 2], [0, 0]], "the second object is predicted as another class"
    assert tissue.confusion == [[2, 1], [0, 0]]
    assert tissue.calibration == [
        CalibrationBin(1, 0.75, 0.0),
        CalibrationBin(2, pytest.approx(0.9), 1.0),
    ]


def test_an_attribute_of_many_values_is_no_slice() -> None:
    scorer, observed, _ = scored(*((f"{i:02}", "low", [4], [4]) for i in range(13)))
    (nuclei, _) = find_breakdowns(scorer, observed)
    assert nuclei.slices == {}


def test_nothing_there_is_undefined() -> None:
    scorer, observed, _ = scored(("a1", "low", [0], [0]))
    nuclei = find_breakdowns(scorer, observed)[0]
    assert (nuclei.values, nuclei.n_undefined, nuclei.sizes, nuclei.confusion) == ([], 1, [], [])
    assert nuclei.groups == [Part("toy/a", 1, 0, None)]


def test_worst_middle_and_best_images_are_shown_once() -> None:
    images = [(f"a{i}", "low", [8] * 7, [8] * i + [0] * (7 - i)) for i in range(1, 8)]
    scorer, _, pairs = scored(*images)

    class Source:
        sample_ids = tuple(record.sample_id for record, _ in pairs)

        def __len__(self) -> int:
            return len(pairs)

        def __getitem__(self, index: int) -> Record:
            return pairs[index][0]

    predictions = {record.sample_id: prediction for record, prediction in pairs}
    examples = find_examples(scorer, Source(), lambda record: predictions[record.sample_id])  # type: ignore[arg-type]
    nuclei = [(e.rank, e.sample_id[-1]) for e in examples if e.task == "nuclei"]
    assert nuclei == [
        *(("worst", name) for name in "123"),
        ("median", "4"),
        *(("best", name) for name in "765"),
    ]


class _Words(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_draws_it_and_strangers_names_stay_text(tmp_path: Path) -> None:
    apart = Breakdown(
        task="nuclei",
        metric=ATTACK,
        values=[0.2, 0.9],
        n_undefined=3,
        groups=[Part(ATTACK, 1, 2, None), *(Part(f"g{i}", 1, 1, 0.5) for i in range(40))],
        slices={ATTACK: [Part(ATTACK, 2, 3, -0.5), Part("b", 9, 9, 0.5, 0.25, 0.75, 4)]},
        sizes=[SizeBin(1, 1234, 8, 6)],
        object_counts=[(100, 130), (20, 10)],
        classes=[ATTACK, "b"],
        confusion=[[3, 1], [0, 0]],
        calibration=[CalibrationBin(4, 0.8, 0.5)],
    )
    page = evaluation_report(make_result(make_score()), [], tmp_path / "r.html", [apart])
    html = page.read_text(encoding="utf-8")
    words = _Words(html)
    assert "img" not in words.tags
    assert "script" not in words.tags
    assert words.text.count(ATTACK) >= 6
    for part in (
        "3 undefined",
        "and 16 better ones",
        "+16.7 % objects",
        "1 to 1,234",
        "75 %",
        "0.250 to 0.750*",
    ):
        assert part in words.text, part
