"""Panoptic quality by the libraries that can be installed (the extra `bench`).

stardist counts a pair at an IoU of exactly one half, the others do not; each is compared with the
convention of ours that does the same.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.pq import Convention

Labels = NDArray[np.int32]
PanopticPeer = Callable[[Labels, Labels], float]

CONVENTIONS: Mapping[str, Convention] = {"stardist": "ge"}
"""Peer -> convention that it follows, `exact` where it is not listed."""
ABSENT = {"panoptica": "needs NumPy below 2, which cannot stand beside this package"}
"""Peers that no environment of ours can hold, and why."""


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


_PEERS: Mapping[str, tuple[str, PanopticPeer]] = {
    "stardist": ("stardist", _stardist),
    "cellseg-metrics": ("cellseg_metrics", _cellseg),
    "torchmetrics": ("torchmetrics", _torchmetrics),
}


def panoptic_peers() -> dict[str, PanopticPeer | None]:
    """Distribution -> its PQ of two label maps at IoU over .5; None where it is not installed."""
    return {name: peer if find_spec(module) else None for name, (module, peer) in _PEERS.items()}
