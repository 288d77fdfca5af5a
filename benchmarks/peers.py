"""Panoptic quality by the libraries that can be installed (the extra `bench`).

stardist and panoptica count a pair at an IoU of exactly one half, the others do not; each is
compared with the convention of ours that does the same.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.pq import Convention

Labels = NDArray[np.int32]
Classes = NDArray[np.uint8]
PanopticPeer = Callable[[Labels, Labels], float]

CONVENTIONS: Mapping[str, Convention] = {"stardist": "ge", "panoptica": "ge"}
"""Peer -> convention that it follows, `exact` where it is not listed."""
OLDER = (
    "not installed: it takes NumPy below 2.3, pandas below 3 and rich below 14, all older than"
    " constraints.txt; in another environment, pip install -e '.[bench]' panoptica"
)


def absent(name: str) -> str:
    """Why a library is not measured here, and what would install it."""
    return OLDER if name == "panoptica" else "not installed: pip install -e '.[bench]'"


def _stardist(truth: Labels, prediction: Labels) -> float:
    from stardist.matching import matching

    return float(matching(truth, prediction, thresh=0.5).panoptic_quality)


def _torchmetrics(truth: Labels, prediction: Labels) -> float:
    import torch
    from torchmetrics.detection import PanopticQuality

    metric = PanopticQuality(things={1}, stuffs={0}, return_per_class=True)
    sides = (_categories(prediction), _categories(truth))
    return float(metric(*(torch.from_numpy(side) for side in sides))[0, 0])


def _categories(labels: Labels) -> NDArray[np.int64]:
    """(1, H, W, 2) category and instance, as torchmetrics takes them."""
    return np.stack([labels > 0, labels], axis=-1).astype(np.int64)[None]


def _cellseg(truth: Labels, prediction: Labels) -> float:
    from cellseg_metrics import panoptic_quality

    return float(panoptic_quality(truth, prediction)["pq"])


def _panoptica(truth: Labels, prediction: Labels) -> float:
    from panoptica import InputType, Metric, NaiveThresholdMatching, Panoptica_Evaluator

    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(),
        instance_metrics=[Metric.IOU],
        global_metrics=[],
    )
    found = evaluator.evaluate(prediction, truth, verbose=False)
    return float(found["ungrouped"].pq)


def mpq_peer() -> Callable[[Labels, Classes, Labels, Classes], float] | None:
    """mPQ+ by torchmetrics; None where it is not installed."""
    return _torchmetrics_mpq if find_spec("torchmetrics") else None


def _torchmetrics_mpq(
    truth: Labels, truth_classes: Classes, prediction: Labels, prediction_classes: Classes
) -> float:
    import torch
    from torchmetrics.detection import PanopticQuality

    metric = PanopticQuality(things=set(range(1, 7)), stuffs={0}, return_per_class=True)
    sides = ((prediction_classes, prediction), (truth_classes, truth))
    stacks = (np.stack(side, axis=-1).astype(np.int64)[None] for side in sides)
    return float(metric(*map(torch.from_numpy, stacks))[0, :6].mean())


_PEERS: Mapping[str, tuple[str, PanopticPeer]] = {
    "stardist": ("stardist", _stardist),
    "cellseg-metrics": ("cellseg_metrics", _cellseg),
    "torchmetrics": ("torchmetrics", _torchmetrics),
    "panoptica": ("panoptica", _panoptica),
}


def panoptic_peers() -> dict[str, PanopticPeer | None]:
    """Distribution -> its PQ of two label maps at IoU over .5; None where it is not installed."""
    return {name: peer if find_spec(module) else None for name, (module, peer) in _PEERS.items()}
