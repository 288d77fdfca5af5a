"""How a model is run: layout of the windows, number type, and what computes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cerberus_bench.model_zoo.tiling import Tiling
from cerberus_bench.schema.running import Backend, Mode, Precision

if TYPE_CHECKING:
    from cerberus_bench.model_zoo.checkpoint import LoadedModel

FAST_WINDOW_PX = 736
"""Larger windows give each kept pixel more true context, so fast mode is not bit-equal to exact."""
BATCH_PX = 2**19
"""Most input pixels of a batch; at least one window is taken."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How windows are laid out and computed."""

    mode: Mode = "exact"
    """exact: the window of the model's card; fast: larger windows, fitted to the image."""
    precision: Precision = "fp32"
    backend: Backend = "torch"
    batch_px: int = BATCH_PX

    def tiling(self, loaded: "LoadedModel") -> Tiling:
        """Layout for a model."""
        if self.mode == "fast":
            return Tiling(max(FAST_WINDOW_PX, loaded.window_px), loaded.margin_px, fit=True)
        return Tiling(loaded.window_px, loaded.margin_px)


DEFAULT = RunOptions()
"""Exact, in float32, by torch."""
