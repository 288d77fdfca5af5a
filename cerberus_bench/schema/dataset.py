"""DatasetSpec: all that is known about a source dataset, as one literal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cerberus_bench.schema.labels import LabelMap, LabelSpace


class Redistribution(StrEnum):
    """Whether harmonised pixels may be published."""

    YES = "yes"
    SHARE_ALIKE = "share-alike"
    NO = "no"


class Evidence(StrEnum):
    """What the facts of a spec rest on."""

    REAL_BYTES = "real bytes"
    PUBLIC_CODE = "public code"
    UNVERIFIED = "unverified"


class Access(StrEnum):
    """How a dataset comes to its user."""

    EMBEDDED = "embedded"
    """This package makes it."""
    PUBLIC = "public"
    """`download` fetches all its files."""
    GATED = "gated"
    """Its user has to obtain at least one file; `how_to_get` says how."""
    UNRELEASED = "unreleased"
    """Its owners have not released it."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence by SPDX id, or a named custom one."""

    id: str
    redistribution: Redistribution
    note: str = ""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as distributed."""

    name: str
    sha256: str | None = None
    n_bytes: int | None = None
    urls: tuple[str, ...] = ()


class FaultKind(StrEnum):
    """What an audit looks for in every record."""

    DUPLICATE = "duplicate"
    """Another record has the same pixels, or nearly."""
    EMPTY = "empty"
    """A task is annotated, and no object is there."""
    NO_CLASS = "no class"
    """Objects without a class, in a task that has classes."""
    MULTI_PART = "multi-part"
    """Objects of several parts that do not touch."""
    SPECK = "speck"
    """Objects of a few pixels."""
    TOUCHING = "touching"
    """Objects that share an edge."""
    OUTSIDE = "outside"
    """Boxes or points that leave the image, or boxes without an area."""
    NOTE = "note"
    """Something that the reader counts while it reads."""
    OFFICIAL_LEAK = "official leak"
    """A part of the source's own split shares a group with its training part."""


@dataclass(frozen=True, slots=True)
class KnownFault:
    """A fault of the files as distributed, and how an audit recognises it.

    An audit fails where a listed fault is not found: then the source was corrected, or a reader or
    a check broke, and the spec must be looked at.
    """

    kind: FaultKind
    text: str
    """What is wrong, in one sentence; for `NOTE` the note of the reader, word for word."""
    record: str = ""
    """Where it is; empty for `NOTE`; for `OFFICIAL_LEAK` the part, such as testB."""
    task: str = ""
    other: str = ""
    """For `DUPLICATE`: the other record, as `<dataset>/<record>`; for `OFFICIAL_LEAK`: the shared
    group."""


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """What a source dataset is, where it comes from, and what to expect of it."""

    name: str
    version: str
    """Version of our harmonisation; a corrected dataset gets a new one."""
    title: str
    tasks: tuple[str, ...]
    label_maps: Mapping[str, LabelMap]
    """Task -> source class -> ontology."""
    mpp: float
    """Microns per pixel of the source images; the fallback where a file does not state it."""
    organ: str
    licence: Licence
    citation: tuple[str, ...]
    home: str
    """Host of the home page."""
    how_to_get: str
    """What a user must do to obtain the files, in one sentence."""
    group_level: str
    """patient, slide or image."""
    evidence: Evidence
    files: tuple[SourceFile, ...] = ()
    expected_images: Mapping[str, int] = field(default_factory=dict)
    """Official part (train, testA ...) -> number of images."""
    expected_objects: Mapping[str, int] = field(default_factory=dict)
    """Task -> number of objects in the complete source."""
    official_leaks: Mapping[str, str] = field(default_factory=dict)
    """Official part -> why results on it are contaminated."""
    notes: tuple[str, ...] = ()
    """Traps, and how the reader treats them."""
    known_faults: tuple[KnownFault, ...] = ()
    """Faults that an audit must find in the records that are there."""
    superseded_by: str | None = None
    hub: tuple[str, str] | None = None
    """Repository and commit on the Hub, None while unpublished."""
    synthetic: bool = False
    is_released: bool = True
    """False = nobody but its owners has the files; the reader is for those."""

    @property
    def access(self) -> Access:
        """How a user comes to the files."""
        if self.synthetic:
            return Access.EMBEDDED
        if not self.is_released:
            return Access.UNRELEASED
        is_public = bool(self.files) and all(file.urls for file in self.files)
        return Access.PUBLIC if is_public else Access.GATED

    @property
    def label_spaces(self) -> dict[str, LabelSpace]:
        """Task -> label space that the maps reach."""
        return {task: label_map.space for task, label_map in self.label_maps.items()}

    @property
    def n_images(self) -> int:
        """Images in the complete source."""
        return sum(self.expected_images.values())
