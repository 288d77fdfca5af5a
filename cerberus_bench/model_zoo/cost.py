"""How large a network is and what a forward pass costs, without allocating it."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.schema.model import NetworkSpec

WINDOW_PX = 448
"""Side of the window that the cost is stated for: that of the paper (Graham et al. 2023)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Size and cost of a network."""

    parameters: int
    gflop: float
    """Billions of floating point operations (a multiply-add counts as two) for one window of
    448 x 448 px with all outputs, nothing cropped."""


def network_cost(spec: NetworkSpec) -> Cost:
    """Count parameters and operations of a network on torch's `meta` device."""
    with torch.device("meta"):
        model = Cerberus(spec).eval()
        image = torch.empty(1, 3, WINDOW_PX, WINDOW_PX)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(image)
    parameters = sum(p.numel() for p in model.parameters())
    return Cost(parameters, counter.get_total_flops() / 1e9)
