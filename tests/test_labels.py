"""The ontology: trees, total maps, and where two label spaces meet."""

import pytest

from cerberus_bench.schema.labels import (
    IGNORE,
    ONTOLOGY,
    LabelMap,
    LabelSpace,
    ancestors,
    common_partition,
)
from cerberus_bench.schema.tasks import NUCLEI, TASKS

PANNUKE = LabelSpace(
    "nuclei", ("neoplastic", "inflammatory", "connective", "dead", "non_neoplastic")
)
MONUSAC = LabelSpace("nuclei", ("epithelial", "lymphocyte", "macrophage", "neutrophil"))


@pytest.mark.parametrize("task", ONTOLOGY)
def test_each_task_is_one_tree(task: str) -> None:
    roots = [node.id for node in ONTOLOGY[task].values() if node.parent is None]
    assert len(roots) == 1
    for key, node in ONTOLOGY[task].items():
        assert key == node.id
        assert ancestors(task, key)[-1] == roots[0]


def test_every_task_has_an_ontology() -> None:
    assert set(TASKS) == set(ONTOLOGY)


def test_pannuke_meets_lizard_at_three_classes() -> None:
    met = common_partition(NUCLEI.labels, PANNUKE)
    assert met.cells == ("epithelial", "inflammatory", "connective")
    # Lizard: neutrophil, epithelial, lymphocyte, plasma, eosinophil, connective
    assert met.truth == (0, 2, 1, 2, 2, 2, 3)
    # PanNuke: neoplastic, inflammatory, connective, dead, non_neoplastic
    assert met.prediction == (0, 1, 2, 3, 0, 1)
    assert met.truth_only == ()
    assert met.prediction_only == ("dead",)


def test_classes_of_one_side_stay_out() -> None:
    met = common_partition(MONUSAC, NUCLEI.labels)
    assert met.cells == ("epithelial", "neutrophil", "lymphocyte")
    assert met.truth_only == ("macrophage",)
    assert met.prediction_only == ("plasma", "eosinophil", "connective")


def test_a_space_meets_itself_unchanged() -> None:
    met = common_partition(PANNUKE, PANNUKE)
    assert set(met.cells) == set(PANNUKE.classes)
    assert met.truth == met.prediction
    assert not met.truth_only


def test_a_class_above_hides_those_below() -> None:
    coarse = LabelSpace("nuclei", ("inflammatory",))
    assert common_partition(coarse, NUCLEI.labels).cells == ("inflammatory",)


def test_the_root_alone_is_no_partition() -> None:
    assert common_partition(LabelSpace("nuclei", ("cell",)), NUCLEI.labels).cells == ()
    lumen = LabelSpace("lumen", ("lumen",))
    assert common_partition(lumen, lumen).cells == ("lumen",)


def test_spaces_of_two_tasks_do_not_meet() -> None:
    with pytest.raises(ValueError, match="gland"):
        common_partition(TASKS["gland"].labels, NUCLEI.labels)


def test_label_map_is_total_and_indexes_its_space() -> None:
    labels = LabelMap("nuclei", {1: "other", 2: "inflammatory", 3: IGNORE, 4: "other"})
    assert labels.space.classes == ("other", "inflammatory")
    assert [labels.index(code) for code in (1, 2, 3, 4)] == [1, 2, 0, 1]
    with pytest.raises(KeyError):
        labels.index(5)


def test_label_map_refuses_what_is_not_in_the_ontology() -> None:
    with pytest.raises(ValueError, match="nucleus"):
        LabelMap("nuclei", {1: "nucleus"})
    with pytest.raises(ValueError, match="not in the gland ontology"):
        LabelSpace("gland", ("lymphocyte",))
