"""Baselines without weights: what they find, and that `eval` takes them by name."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import hed2rgb
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.eval import overlap, panoptic_quality
from cerberus_bench.model_zoo.classical import CLASSICAL, watershed_nuclei
from cerberus_bench.schema.record import Record
from cerberus_bench.workflows.models import find_model

MPP = 0.5
RADIUS_PX = 9


def discs(centres: list[tuple[int, int]], side: int = 128) -> NDArray[np.int32]:
    """Round nuclei; where two meet, each pixel belongs to the nearer centre."""
    y, x = np.mgrid[:side, :side]
    away = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centres])
    return np.where(away.min(0) <= RADIUS_PX, away.argmin(0) + 1, 0).astype(np.int32)


def stained(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Haematoxylin where there is a label, eosin elsewhere."""
    nucleus = labels > 0
    hed = np.stack([0.15 * nucleus, 0.05 * ~nucleus, np.zeros(labels.shape)], axis=-1)
    return np.rint(255 * hed2rgb(hed)).astype(np.uint8)


@pytest.mark.parametrize(
    "centres",
    [[(30, 30), (90, 90)], [(40, 40), (40, 55)]],
    ids=["apart", "touching"],
)
def test_round_nuclei_are_found_one_by_one(centres: list[tuple[int, int]]) -> None:
    truth = discs(centres)
    found = panoptic_quality(overlap(truth, watershed_nuclei(stained(truth), MPP)))
    assert (found.tp, found.fp, found.fn) == (2, 0, 0)
    assert found.sq > 0.8


def test_lengths_are_in_microns() -> None:
    truth = discs([(30, 30), (90, 90), (40, 100)])
    twice = np.kron(truth, np.ones((2, 2), np.int32))
    assert watershed_nuclei(stained(twice), MPP / 2).max() == 3


def test_specks_are_no_nuclei_and_an_even_image_has_none() -> None:
    truth = discs([(30, 30)])
    truth[100:102, 100:102] = 2
    assert watershed_nuclei(stained(truth), MPP).max() == 1
    assert not watershed_nuclei(np.full((64, 64, 3), 200, np.uint8), MPP).any()


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_baseline_is_listed_and_predicts(name: str) -> None:
    listed = CliRunner().invoke(app, ["list", "models", "--json"])
    (row,) = (row for row in json.loads(listed.stdout) if row["name"] == name)
    predictor = find_model(name)
    assert row["description"] == predictor.info.architecture
    assert predictor.info.trained_on == []
    image = stained(discs([(30, 30), (90, 90)]))
    record = Record(
        sample_id="a/1",
        dataset="a",
        record="1",
        image=image,
        mpp=MPP,
        native_mpp=MPP,
        coverage={},
        group="1",
        group_level="image",
    )
    prediction = predictor.predict(record, row["tasks"])
    assert prediction.tasks == tuple(row["tasks"])
    assert len(prediction.instances["nuclei"].ids) == 2
    assert predictor.predict(record, []).tasks == ()
