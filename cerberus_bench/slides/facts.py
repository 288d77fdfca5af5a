"""What every file about a slide has to know of the slide and of the model that read it."""

from collections.abc import Mapping
from dataclasses import dataclass

from cerberus_bench.schema.errors import DataError
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
    model_run: str | None = None
    """Mode, precision and backend in which the model was run; None in files that do not say it."""

    @property
    def pixel_area_um2(self) -> float:
        """Area of one level-0 px, um2."""
        return self.mpp_x * self.mpp_y

    def check_whole(self, shape: tuple[int, ...], what: str) -> None:
        """Refuse what cannot be the whole slide: its sides are off by more than 2 px.

        Args:
            shape: (H, W, ...) of a picture.
            what: it is, for the error.

        Raises:
            DataError: it has other proportions than the slide.
        """
        height, width = shape[:2]
        scale = max(width / self.width, height / self.height)
        if min(width - self.width * scale, height - self.height * scale) < -2:
            raise DataError(
                f"a {what} of {width} x {height} px is not the whole of {self.name}, which has"
                f" {self.width} x {self.height} px. Give one of the whole slide."
            )
