"""What an audit of harmonised folders found."""

from collections.abc import Mapping
from dataclasses import dataclass

from cerberus_bench.schema.dataset import FaultKind, KnownFault

MAX_IDS = 20
"""Ids that a finding lists; it counts all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One record, as far as duplicates and findings need it."""

    dataset: str
    sample_id: str
    split: str
    fold: int
    table: int
    """Number of the table that was audited."""
    index: int
    """Number of the record in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateSet:
    """Records with the same picture."""

    members: tuple[Member, ...]
    bits: int
    """Most bits of 512 in which the perceptual hashes of joined records differ."""
    is_exact: bool
    """Whether all have the same pixels."""
    is_linked: bool
    """Whether groups and origins know of it, so that folds keep the records together."""

    @property
    def leaks(self) -> bool:
        """Whether the records lie in more than one fold or split."""
        return len({(member.split, member.fold) for member in self.members}) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found on one record."""

    kind: FaultKind
    task: str
    where: Member
    n: int
    """Objects concerned; 0 for an empty record."""
    ids: tuple[int, ...]
    """The first `MAX_IDS` of them: ids, or row numbers of boxes and points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Areas of the objects of a task, square microns."""

    smallest: float
    p5: float
    median: float
    p95: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAudit:
    """One task of one dataset."""

    dataset: str
    task: str
    n_records: int
    """Records on which it is annotated."""
    n_objects: int
    classes: Mapping[str, Mapping[str, int]]
    """Split -> class (`none` = without) -> objects."""
    sizes: Sizes | None
    """None for tasks without areas."""
    faults: Mapping[FaultKind, tuple[int, int]]
    """What was found -> objects, records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetAudit:
    """One dataset."""

    name: str
    version: str
    n_records: Mapping[str, int]
    """Split -> records."""
    n_flat: int
    """Records too flat to be recognised when resampled; equal pixels are still found."""
    notes: Mapping[str, int]
    """What the reader counted -> how often."""
    n_missing: int
    """Images of the complete source that are not here."""
    official_overlap: Mapping[str, tuple[str, ...]]
    """Official part -> groups that it shares with the official training part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TornGroup:
    """Records of one patient, slide or image, over all datasets, in several splits."""

    name: str
    members: Mapping[str, int]
    """`<dataset> <split>` -> records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCheck:
    """Whether a fault that the spec lists was found."""

    dataset: str
    fault: KnownFault
    state: str
    """found, gone, or absent where its record is not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """All that an audit found."""

    datasets: tuple[DatasetAudit, ...]
    tasks: tuple[TaskAudit, ...]
    duplicates: tuple[DuplicateSet, ...]
    """Leaking ones first."""
    torn_groups: tuple[TornGroup, ...]
    findings: tuple[Finding, ...]
    known_faults: tuple[FaultCheck, ...]

    @property
    def failures(self) -> list[str]:
        """Why the data should not be used as it is; empty if nothing speaks against it."""
        leaks = sum(found.leaks for found in self.duplicates)
        gone = [check for check in self.known_faults if check.state == "gone"]
        return [
            *([f"{leaks} sets of duplicates lie in more than one split"] if leaks else []),
            *(f"{torn.name} lies in more than one split" for torn in self.torn_groups),
            *(f"{c.dataset} no longer shows: {c.fault.text}" for c in gone),
        ]
