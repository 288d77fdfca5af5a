"""Record: one image region with what is annotated on it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace

MAX_INSTANCES = 65_535
"""Largest id that a 16-bit label map holds."""


class Coverage(StrEnum):
    """How much of a task is annotated on a record."""

    FULL = "full"
    PARTIAL = "partial"
    """Only where `valid` says so, or (boxes) not every object."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Instances:
    """The annotated objects of one task."""

    labels: NDArray[np.int32]
    """(H, W) label map, 0 = background."""
    ids: NDArray[np.int64]
    """(n,) ids of the label map, ascending. An id lost in resampling is not listed."""
    classes: NDArray[np.int64]
    """(n,) class of each id: one-based index into the dataset's label space, 0 = none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One image region, its annotations, and where it comes from. Arrays are not copied."""

    sample_id: str
    """`<dataset>/<record>[@x,y]`, unique over all datasets."""
    dataset: str
    record: str
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    mpp: float
    """Microns per pixel of `image` and of everything drawn on it."""
    native_mpp: float
    """Microns per pixel of the source image."""
    coverage: Mapping[str, Coverage]
    """Task -> coverage; a task that is absent is not annotated."""
    group: str
    """Coarsest known of patient, slide, source image. Records of a group never part."""
    group_level: str
    """patient, slide or image: which of these `group` is."""
    instances: Mapping[str, Instances] = field(default_factory=dict)
    """nuclei, gland, lumen -> objects, for the tasks annotated here."""
    signet_ring: NDArray[np.float32] | None = None
    """(n, 4) boxes x0 y0 x1 y1, px."""
    points: NDArray[np.float32] | None = None
    """(n, 2) centroids x y, px, of datasets that mark nuclei by points only."""
    point_classes: NDArray[np.int64] | None = None
    tissue: int | None = None
    """Zero-based class index into the dataset's tissue label space."""
    valid: NDArray[np.bool_] | None = None
    """(H, W) True where annotations count; None = everywhere."""
    organ: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Grade, stain, scanner, annotator: what results may be sliced by."""
    origins: tuple[str, ...] = ()
    """Ancestral images (`glas/train_1`): records that share one never part either."""
    fold: int | None = None
    split: str | None = None
    official_split: str | None = None
    objective: float | None = None
    origin_xy: tuple[int, int] = (0, 0)
    """Place of a cut in its source image, px at `mpp`."""
    licence: str = ""
    source_sha256: str = ""
    n_lost: int = 0
    """Instances that vanished in resampling."""

    def __post_init__(self) -> None:
        check_image(self.image, self.sample_id)
        shape = self.image.shape[:2]
        for task, instances in self.instances.items():
            if instances.labels.shape != shape:
                raise DataError(
                    f"{self.sample_id}: the {task} label map is {instances.labels.shape}, its image"
                    f" {shape}. Both must have the same height and width: rebuild the record from"
                    " its source."
                )
        if self.valid is not None and self.valid.shape != shape:
            raise DataError(
                f"{self.sample_id}: the valid mask is {self.valid.shape}, its image {shape}"
            )

    def covers(self, task: str) -> bool:
        """Whether the task is annotated here at all."""
        return self.coverage.get(task, Coverage.NONE) is not Coverage.NONE


class RecordSource(Protocol):
    """Harmonised records of one dataset, read one at a time, also by several threads at once.

    Loaders implement it.
    """

    @property
    def name(self) -> str:
        """Dataset name."""
        ...

    @property
    def version(self) -> str:
        """Dataset version."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of the records' keys and contents."""
        ...

    @property
    def label_spaces(self) -> Mapping[str, LabelSpace]:
        """Task -> what the dataset's class indices mean."""
        ...

    @property
    def sample_ids(self) -> Sequence[str]:
        """Ids of the records, in order, without decoding them."""
        ...

    def __len__(self) -> int:
        """How many records there are."""
        ...

    def __getitem__(self, index: int) -> Record:
        """Decode one record."""
        ...

    def __iter__(self) -> Iterator[Record]:
        """Decode all records in order."""
        ...


def check_image(image: NDArray[np.uint8], name: str) -> None:
    """Refuse anything but (H, W, 3) uint8.

    Raises:
        DataError: the array has another shape or dtype.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(
            f"{name}: expected an RGB image of shape (H, W, 3) and dtype uint8, got shape"
            f" {image.shape} and dtype {image.dtype}. Convert it to 8-bit RGB."
        )
