"""Models and datasets with the real nucleus classes of five sources meet, and are scored there.

The expected partitions are written by hand from the papers' class lists and the tree.
"""

from itertools import permutations, product

import numpy as np
import pytest
from scores_toy import guess_of, record, squares, truth_of

from cerberus_bench.eval.score import score
from cerberus_bench.loaders.registry import get, specs
from cerberus_bench.schema.labels import LabelSpace, ancestors, common_partition
from cerberus_bench.schema.prediction import Prediction

SPACES = {
    name: get(name).spec.label_spaces["nuclei"]
    for name in ("pannuke", "lizard", "consep", "monusac", "nucls")
}
THREE = {"epithelial", "inflammatory", "connective"}
TWO = {"epithelial", "inflammatory"}
SHARED_IMMUNE = {"lymphocyte", "neutrophil"}
MEET = {
    ("pannuke", "lizard"): (THREE, {"dead"}, set()),
    ("pannuke", "consep"): (THREE, {"dead"}, {"other"}),
    ("pannuke", "monusac"): (TWO, {"connective", "dead"}, set()),
    ("pannuke", "nucls"): (
        {"neoplastic", "non_neoplastic", "inflammatory", "connective", "dead"},
        set(),
        {"mitotic"},
    ),
    ("lizard", "consep"): (THREE, set(), {"other"}),
    ("lizard", "monusac"): (
        {"epithelial", *SHARED_IMMUNE},
        {"plasma", "eosinophil", "connective"},
        {"macrophage"},
    ),
    ("lizard", "nucls"): (
        {"epithelial", "connective", "plasma", "eosinophil", *SHARED_IMMUNE},
        set(),
        {"macrophage", "mitotic", "dead"},
    ),
    ("consep", "monusac"): (TWO, {"connective", "other"}, set()),
    ("consep", "nucls"): (THREE, {"other"}, {"mitotic", "dead"}),
    ("monusac", "nucls"): (
        {"epithelial", "macrophage", *SHARED_IMMUNE},
        set(),
        {"fibroblast", "endothelial", "plasma", "eosinophil", "mitotic", "dead"},
    ),
}
"""(one, other) -> common classes, classes that the one has alone, and the other."""
ALL_NUCLEI = {s.label_spaces["nuclei"].classes for s in specs() if "nuclei" in s.label_spaces}
PAIRS = [
    (LabelSpace("nuclei", one), LabelSpace("nuclei", other))
    for one, other in product(sorted(ALL_NUCLEI), repeat=2)
]


def test_spaces_are_those_of_the_papers() -> None:
    assert {name: set(space.classes) for name, space in SPACES.items()} == {
        "pannuke": {"neoplastic", "inflammatory", "connective", "dead", "non_neoplastic"},
        "lizard": {
            *("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective"),
        },
        "consep": {"other", "inflammatory", "epithelial", "connective"},
        "monusac": {"epithelial", "lymphocyte", "macrophage", "neutrophil"},
        "nucls": {
            *("neoplastic", "non_neoplastic", "fibroblast", "endothelial", "lymphocyte", "plasma"),
            *("macrophage", "neutrophil", "eosinophil", "mitotic", "dead"),
        },
    }


def test_every_pair_is_written_down() -> None:
    assert {frozenset(pair) for pair in MEET} == {
        frozenset(pair) for pair in permutations(SPACES, 2)
    }


@pytest.mark.parametrize(("one", "other"), MEET)
def test_pairs_meet_where_the_tree_says(one: str, other: str) -> None:
    cells, only_one, only_other = MEET[one, other]
    met = common_partition(SPACES[one], SPACES[other])
    assert set(met.cells) == cells
    assert (set(met.truth_only), set(met.prediction_only)) == (only_one, only_other)
    back = common_partition(SPACES[other], SPACES[one])
    assert back.cells == met.cells
    assert (back.truth, back.prediction) == (met.prediction, met.truth)


@pytest.mark.parametrize(("truth", "prediction"), PAIRS)
def test_any_two_nucleus_spaces_meet_without_loss_or_overlap(
    truth: LabelSpace, prediction: LabelSpace
) -> None:
    met = common_partition(truth, prediction)
    for cell in met.cells:
        assert not any(cell in ancestors("nuclei", other)[1:] for other in met.cells)
        index = met.cells.index(cell) + 1
        assert index in met.truth  # a class that one side cannot reach would measure nothing
        assert index in met.prediction
    for space, to_cell in ((truth, met.truth), (prediction, met.prediction)):
        assert to_cell[0] == 0
        for name, index in zip(space.classes, to_cell[1:], strict=True):
            if index:
                assert met.cells[index - 1] in ancestors("nuclei", name)
            else:
                assert not set(ancestors("nuclei", name)) & set(met.cells)
    if truth == prediction and truth.classes != ("cell",):
        assert set(met.cells) == set(truth.classes)


CORNERS = tuple((y, x) for y in (1, 7, 13, 19) for x in (1, 7, 13, 19))


def scored(truth: list[tuple[str, str]], model: str, dataset: str):
    """Report on one image: squares with the class of the dataset and of the model each.

    An empty class of the model is a nucleus that it missed.
    """
    here, there = SPACES[dataset], SPACES[model]
    corners = CORNERS[: len(truth)]
    classes = [here.index(name) for name, _ in truth]
    found = [(corner, name) for corner, (_, name) in zip(corners, truth, strict=True) if name]
    one = record("x", instances={"nuclei": truth_of(squares(*corners), classes)})
    guess = guess_of(
        squares(*(corner for corner, _ in found)), [there.index(name) for _, name in found]
    )
    pair = (one, Prediction(sample_id="x", instances={"nuclei": guess}))
    return score([pair], {"nuclei": here}, {"nuclei": there})


def counts_of(report, name: str) -> tuple[float, float, float]:
    counts = report.score("nuclei", "pq", class_name=name).counts
    return tuple(counts[key] for key in ("tp", "fp", "fn"))


def test_model_of_pannuke_on_lizard() -> None:
    report = scored(
        [
            ("epithelial", "neoplastic"),
            ("epithelial", "non_neoplastic"),
            ("epithelial", "inflammatory"),
            ("eosinophil", "inflammatory"),
            ("plasma", "inflammatory"),
            ("neutrophil", "connective"),
            ("lymphocyte", "dead"),
            ("connective", "connective"),
            ("connective", ""),
        ],
        model="pannuke",
        dataset="lizard",
    )
    partition = report.partitions["nuclei"]
    assert set(partition.classes) == THREE
    assert (partition.truth_only, partition.prediction_only) == ([], ["dead"])
    assert (partition.n_truth_excluded, partition.n_prediction_excluded) == (0, 1)
    assert counts_of(report, "epithelial") == (2, 0, 1)
    # a nucleus that the model calls dead, which Lizard cannot say, stays missed
    assert counts_of(report, "inflammatory") == (2, 1, 2)
    assert counts_of(report, "connective") == (1, 1, 1)
    assert report.score("nuclei", "f1").counts["tp"] == 8  # detection asks for no class


def test_model_of_lizard_on_monusac() -> None:
    report = scored(
        [
            ("macrophage", "connective"),
            ("macrophage", "lymphocyte"),
            ("lymphocyte", "lymphocyte"),
            ("neutrophil", "eosinophil"),
            ("epithelial", "epithelial"),
        ],
        model="lizard",
        dataset="monusac",
    )
    partition = report.partitions["nuclei"]
    assert set(partition.classes) == {"epithelial", "lymphocyte", "neutrophil"}
    assert partition.truth_only == ["macrophage"]
    assert partition.n_truth_excluded == 2
    assert counts_of(report, "lymphocyte") == (1, 0, 0)  # what lies on a macrophage is forgiven
    assert counts_of(report, "neutrophil") == (0, 0, 1)
    assert counts_of(report, "epithelial") == (1, 0, 0)


def test_model_of_nucls_on_consep_and_back() -> None:
    pairs = [
        ("epithelial", "neoplastic"),
        ("inflammatory", "macrophage"),
        ("inflammatory", "eosinophil"),
        ("connective", "endothelial"),
        ("connective", "mitotic"),
        ("other", "fibroblast"),
    ]
    report = scored(pairs, model="nucls", dataset="consep")
    assert set(report.partitions["nuclei"].classes) == THREE
    assert counts_of(report, "epithelial") == (1, 0, 0)
    assert counts_of(report, "inflammatory") == (2, 0, 0)
    assert counts_of(report, "connective") == (1, 0, 1)
    back = scored([(model, truth) for truth, model in pairs], model="consep", dataset="nucls")
    assert back.partitions["nuclei"].classes == report.partitions["nuclei"].classes
    assert counts_of(back, "inflammatory") == (2, 0, 0)
    assert counts_of(back, "connective") == (1, 0, 1)  # the fibroblast that the model calls other


def test_model_without_classes_has_no_scores_of_classes() -> None:
    space = get("monuseg").spec.label_spaces["nuclei"]
    one = record("x", instances={"nuclei": truth_of(squares(*CORNERS[:2]), [1, 1])})
    guess = guess_of(squares(*CORNERS[:2]), np.array([1, 2]))
    pair = (one, Prediction(sample_id="x", instances={"nuclei": guess}))
    report = score([pair], {"nuclei": space}, {"nuclei": SPACES["pannuke"]})
    assert report.partitions["nuclei"].classes == []
    assert not [s for s in report.scores if s.class_name]
    assert report.score("nuclei", "f1").value == 1
