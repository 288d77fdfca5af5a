"""Networks for tests of slides: quick, and with something to say of phantom tissue."""

from dataclasses import replace
from time import sleep

import torch
from slide_pictures import Pixels, glass, scene
from torch import Tensor, nn

from cerberus_bench.model_zoo.backends import TorchNetwork
from cerberus_bench.model_zoo.checkpoint import wrap_module
from cerberus_bench.model_zoo.options import RunOptions
from cerberus_bench.workflows.networks import NetworkPredictor

CLASSES = {"nuclei": 6, "gland": 2, "lumen": 1, "tissue": 9}
WINDOW_PX, MARGIN_PX = 256, 16
"""Kept boxes of 224 px: neither shards nor blocks end where these do."""


class ByColour(nn.Module):
    """Nuclei are dark, glands are purple on a large scale, lumina are bright."""

    def __init__(self, tasks: tuple[str, ...] = tuple(CLASSES), seconds_a_batch: float = 0) -> None:
        super().__init__()
        self.tasks = tasks
        self.seconds_a_batch = seconds_a_batch
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        sleep(self.seconds_a_batch)
        red, green, blue = image[:, 0:1], image[:, 1:2], image[:, 2:3]
        fine, coarse = _smooth(red, 2), _smooth(green, 10)
        evidence = {
            "nuclei": (120 - fine) / 8,
            "gland": (150 - coarse) / 8,
            "lumen": (_smooth(green, 3) - 205) / 4,
        }
        logits: dict[str, Tensor] = {}
        for task in self.tasks:
            if task == "tissue":
                means = image.mean(dim=(2, 3))
                logits[task] = torch.cat([means, means / 2, means.flip(1)], dim=1) / 20
                continue
            inner = evidence[task]
            contour = 2 - inner.abs()
            logits[f"{task}.instance"] = torch.cat([-inner, inner, contour], dim=1)
            if CLASSES[task] > 1:
                steps = torch.arange(CLASSES[task] + 1).view(1, -1, 1, 1)
                logits[f"{task}.type"] = -((blue / 30 - steps) ** 2)
        return logits


def predictor(
    tasks: tuple[str, ...] = tuple(CLASSES),
    *,
    windows_a_batch: int = 3,
    seconds_a_batch: float = 0,
    window: tuple[int, int] = (WINDOW_PX, MARGIN_PX),
) -> NetworkPredictor:
    """A predictor of `ByColour`."""
    module = ByColour(tasks, seconds_a_batch)
    loaded = replace(wrap_module("by-colour", module), window_px=window[0], margin_px=window[1])
    options = RunOptions(batch_px=windows_a_batch * window[0] ** 2)
    return NetworkPredictor(loaded, options, TorchNetwork(module))


def phantom_slide(height: int = 1100, width: int = 2100) -> Pixels:
    """Islands of phantom tissue on glass, (height, width, 3) at 0.5 mpp.

    One lies across the seams of shards of 1024 px, one at the slide's edge, one alone.
    """
    slide = glass(height, width)
    for index, (y, x) in enumerate([(560, 780), (300, 100), (10, width - 300)]):
        part = scene(index % 2)[: height - y, : width - x]
        slide[y : y + part.shape[0], x : x + part.shape[1]] = part
    return slide


def _smooth(plane: Tensor, radius: int) -> Tensor:
    side = 2 * radius + 1
    rows = nn.functional.avg_pool2d(plane, (1, side), stride=1, padding=(0, radius))
    return nn.functional.avg_pool2d(rows, (side, 1), stride=1, padding=(radius, 0))
