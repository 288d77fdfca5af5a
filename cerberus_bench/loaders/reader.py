"""Reader: how one source dataset is found on disk and turned into native records.

A reader works in two steps, so that groups and splits are known before any pixel is decoded:
`find` lists the images, `read` decodes one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """One image of a source, as known before its pixels are read."""

    record: str
    """Unique within the dataset, such as `train_1`."""
    group: str
    """Coarsest known of patient, slide, source image, as `<dataset>/<group>`."""
    group_level: str
    """patient, slide or image."""
    origins: tuple[str, ...]
    """Ancestral images, as `<dataset>/<image>`; the image itself where it has no other."""
    official_split: str | None = None
    """The source's own part, such as testA."""
    role: str | None = None
    """train, validation or test where the source fixes it; None = decided by the fold table."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What a file is (image, labels) -> its name in the `SourceTree`."""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a reader found of its source."""

    images: tuple[SourceImage, ...]
    """In a fixed order, whatever the order on disk."""
    incomplete: tuple[str, ...] = ()
    """One sentence for each image that lacks a companion file and is therefore not in `images`."""
    official_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Official part -> groups of the complete source, where a file of the source lists them even
    for images that are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """One decoded image at its native resolution, and what decoding it took."""

    record: Record
    """`fold` and `split` None; class indices are those of `spec.label_maps[task].space`."""
    n_objects: Mapping[str, int]
    """Task -> objects that the source holds for this image, including skipped ones."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """What was done to the annotations (polygons skipped, clipped ...) -> how often."""


class Reader(Protocol):
    """One source dataset."""

    @property
    def spec(self) -> DatasetSpec:
        """What is known about the dataset."""
        ...

    def find(self, tree: SourceTree) -> Listing:
        """List the images below `tree`; decodes no pixels.

        Raises:
            DataError: the layout is not that of the source.
        """
        ...

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one listed image.

        Raises:
            DataError: a file is missing, corrupt or not what the spec says.
        """
        ...


def native_record(spec: DatasetSpec, listed: SourceImage, /, **found: Any) -> Record:
    """The native `Record` of a listed image.

    Args:
        spec: its dataset.
        listed: what is known about the image.
        **found: the remaining fields of `Record`: `image`, `coverage`, `instances` and others;
            `mpp` where the file states it, else the spec's value is taken.
    """
    mpp = found.pop("mpp", spec.mpp)
    fixed = {
        "sample_id": f"{spec.name}/{listed.record}",
        "dataset": spec.name,
        "record": listed.record,
        "mpp": mpp,
        "native_mpp": mpp,
        "group": listed.group,
        "group_level": listed.group_level,
        "origins": listed.origins,
        "official_split": listed.official_split,
        "organ": spec.organ,
        "attributes": listed.attributes,
        "licence": spec.licence.id,
    }
    return Record(**{**fixed, **found})
