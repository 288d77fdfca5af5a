"""How far a way of running a network is from exact windows in fp32 by torch: measured, bounded."""

from pydantic import BaseModel, Field, FiniteFloat

from cerberus_bench.schema.report import STRICT, Count
from cerberus_bench.schema.result import DataInfo, Inference
from cerberus_bench.schema.running import Backend, Mode, Parity, Precision


class ParityBounds(BaseModel):
    """The least that the two must agree in, shares of one."""

    model_config = STRICT

    pq: FiniteFloat = Field(default=0.99, ge=0, le=1)
    dice: FiniteFloat = Field(default=0.995, ge=0, le=1)
    classes: FiniteFloat = Field(default=0.99, ge=0, le=1)
    tissue: FiniteFloat = Field(default=0.99, ge=0, le=1)


class TaskParity(BaseModel):
    """Objects of one task found in both ways, pooled over all images; None where there are none."""

    model_config = STRICT

    task: str
    n_objects: Count
    """Objects found by exact fp32 torch."""
    pq: FiniteFloat | None
    """Panoptic quality of the one label map against the other (Kirillov et al., CVPR 2019)."""
    dice: FiniteFloat | None
    classes: FiniteFloat | None
    """Share of the objects matched by IoU > 0.5 that have the same class."""

    def within(self, bounds: ParityBounds) -> bool:
        """Whether every defined number is at least its bound."""
        pairs = ((self.pq, bounds.pq), (self.dice, bounds.dice), (self.classes, bounds.classes))
        return all(value is None or value >= bound for value, bound in pairs)


class ParityReport(BaseModel):
    """One way of running a network against exact fp32 torch, on the same images in one run."""

    model_config = STRICT

    mode: Mode
    precision: Precision
    backend: Backend
    device: str = "cpu"
    data: DataInfo
    mosaic: int = Field(default=1, ge=1)
    """Images were laid side by side, so many by so many."""
    bounds: ParityBounds
    tasks: list[TaskParity]
    n_patches: Count
    """Images whose tissue was classified."""
    tissue: FiniteFloat | None
    """Share of them that got the same class."""
    largest_difference: FiniteFloat
    """Between two probabilities of one class in one pixel, or of one patch."""
    speed: FiniteFloat
    """How many times as fast the network ran as exactly in fp32 by torch, post-processing left
    out."""
    windows_differ: bool
    """Whether any image was laid out in other windows. Where none was, fast mode was not tested."""
    created_utc: str

    @property
    def variant(self) -> str:
        """Which way: see `Inference.variant`."""
        return Inference(mode=self.mode, precision=self.precision, backend=self.backend).variant

    @property
    def verdict(self) -> Parity:
        """Whether all is within the bounds; unmeasured where the images could not show it."""
        within = all(task.within(self.bounds) for task in self.tasks)
        within &= self.tissue is None or self.tissue >= self.bounds.tissue
        if not within:
            return "failed"
        is_shown = any(task.n_objects for task in self.tasks) or self.n_patches > 0
        is_shown &= self.mode == "exact" or self.windows_differ
        return "passed" if is_shown else "unmeasured"
