"""What every file about a slide has to know of the slide and of the model that read it."""

from collections.abc import Mapping
from dataclasses import dataclass

from cerberus_bench.schema.labels import LabelSpace


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """One slide and the model that was run on it. No path, host or time: equal runs are equal."""

    name: str
    """Name of the slide's file without its suffix."""
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    mpp_x: float
    """Microns per level-0 px along x."""
    mpp_y: float
    """Microns per level-0 px along y."""
    model: str
    model_sha256: str | None
    """Hash of the model's file; None where there is no file."""
    model_mpp: float
    """Microns per pixel that the model works at."""
    label_spaces: Mapping[str, LabelSpace]
    """Task -> classes; its keys are the tasks that the model predicts."""

    @property
    def pixel_area_um2(self) -> float:
        """Area of one level-0 px, um2."""
        return self.mpp_x * self.mpp_y
