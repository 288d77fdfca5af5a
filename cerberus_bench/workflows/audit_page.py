"""The page of an audit: what was found, with pictures."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.pictures import boxes, data_uri, outline, render_page, write_page
from cerberus_bench.schema.dataset import FaultKind
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.resample import resize_image

if TYPE_CHECKING:
    from cerberus_bench.loaders.audit_report import AuditReport, DuplicateSet, Finding, Member
    from cerberus_bench.loaders.table import Table

MAX_SETS = 24
"""Sets of duplicates that are shown."""
MAX_MEMBERS = 6
"""Records of a set that are shown."""
MAX_EXAMPLES = 6
"""Records that are shown of one check, task and dataset."""
SIDE = 320
"""Longest side of a picture, px."""
MARGIN = 24
"""Least distance of an object from the edge of its picture, px of the record."""
LEAST_WINDOW = 160
"""Least side of the part of a record around an object, px of the record."""
FOUND = "#e03131"
OTHERS = "#868e96"

MEANINGS = {
    FaultKind.EMPTY: "no object, though the task is annotated",
    FaultKind.NO_CLASS: "objects without a class",
    FaultKind.MULTI_PART: "objects of several parts that do not touch",
    FaultKind.SPECK: "objects of fewer than five pixels",
    FaultKind.TOUCHING: "objects that share an edge with another",
    FaultKind.OUTSIDE: "boxes or points outside the image, or boxes without area",
}
"""What a check looks for, in words."""

_ORDER = tuple(MEANINGS)


@dataclass(frozen=True, slots=True)
class Card:
    """One picture with what is said below it."""

    image: str
    """Data URI."""
    title: str
    note: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """What one check found on one task of one dataset, or one set of duplicates."""

    heading: str
    note: str
    is_bad: bool
    cards: list[Card]


def write_audit_page(report: "AuditReport", tables: "Sequence[Table]", out: Path) -> Path:
    """Write the page as one HTML file that needs no network.

    The records that are shown are decoded again, so memory does not grow with the data.

    Args:
        report: of these tables.
        tables: as they were audited.
        out: file to write.
    """
    html = render_page(
        "audit.html",
        title="Audit of " + ", ".join(dataset.name for dataset in report.datasets),
        report=report,
        failures=report.failures,
        duplicates=[_duplicates(found, tables) for found in report.duplicates[:MAX_SETS]],
        n_hidden=max(0, len(report.duplicates) - MAX_SETS),
        findings=[_examples(found, tables) for found in _by_check(report.findings)],
        meanings=MEANINGS,
    )
    return write_page(html, out)


def _duplicates(found: "DuplicateSet", tables: "Sequence[Table]") -> Gallery:
    how = "the same pixels" if found.is_exact else f"the same picture, {found.bits} of 512 bits off"
    known = "known to the groups" if found.is_linked else "unknown to groups and origins"
    where = "in more than one fold or split" if found.leaks else "in one split"
    names = Counter(member.dataset for member in found.members)
    heading = ", ".join(f"{name} ({n})" for name, n in names.items())
    cards = [
        Card(
            data_uri(_shrunk(_record(member, tables).image)),
            member.sample_id,
            f"{member.split}, fold {member.fold}",
        )
        for member in found.members[:MAX_MEMBERS]
    ]
    return Gallery(heading, f"{how}; {known}; {where}", found.leaks, cards)


def _by_check(findings: "Iterable[Finding]") -> "list[list[Finding]]":
    """Findings of one check, task and dataset together, in the order of `MEANINGS`."""
    together: dict[tuple[FaultKind, str, str], list[Finding]] = defaultdict(list)
    for found in findings:
        together[found.kind, found.where.dataset, found.task].append(found)
    return [together[key] for key in sorted(together, key=lambda k: (_ORDER.index(k[0]), *k[1:]))]


def _examples(found: "Sequence[Finding]", tables: "Sequence[Table]") -> Gallery:
    first = found[0]
    worst = sorted(found, key=lambda one: -one.n)[:MAX_EXAMPLES]
    n = sum(one.n for one in found)
    objects = f"{n:,} objects in {len(found):,} records" if n else f"{len(found):,} records"
    cards = [
        Card(
            data_uri(_picture(_record(one.where, tables), one)),
            one.where.sample_id,
            f"ids {', '.join(map(str, one.ids[:5]))}{' ...' if one.n > 5 else ''}" if one.n else "",
        )
        for one in worst
    ]
    heading = f"{first.where.dataset}, {first.task}: {MEANINGS[first.kind]}"
    return Gallery(heading, objects, False, cards)


def _record(member: "Member", tables: "Sequence[Table]") -> Record:
    return tables[member.table][member.index]


def _picture(record: Record, found: "Finding") -> NDArray[np.uint8]:
    """The part of a record around the first object found, all found outlined in red."""
    if found.task in record.instances and found.ids:
        labels = record.instances[found.task].labels
        return _objects(record.image, labels, found.ids, _window(labels == found.ids[0]))
    if found.kind is FaultKind.OUTSIDE and found.task == "signet_ring":
        corners = np.asarray(record.signet_ring)[list(found.ids)]
        return _shrunk(boxes(record.image, corners, FOUND, _thickness(record.image)))
    return _shrunk(record.image)


def _objects(
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    ids: Sequence[int],
    window: tuple[slice, slice],
) -> NDArray[np.uint8]:
    """Part of an image with outlines, and a frame around the parts of the first object."""
    image, labels = image[window], labels[window]
    thickness = _thickness(image)
    others = dict.fromkeys(np.unique(labels).tolist(), OTHERS)
    drawn = outline(image, labels, others | dict.fromkeys(ids, FOUND), thickness)
    rows, columns = (np.flatnonzero((labels == ids[0]).any(axis=axis)) for axis in (1, 0))
    reach = 3 * thickness
    frame = [columns[0] - reach, rows[0] - reach, columns[-1] + 1 + reach, rows[-1] + 1 + reach]
    return _shrunk(boxes(drawn, np.array([frame], float), FOUND, thickness))


def _thickness(image: NDArray[np.uint8]) -> int:
    """Of lines that are still seen when the image is shown at `SIDE`."""
    longest: int = max(image.shape[:2])
    return max(1, round(2 * longest / SIDE))


def _window(where: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = (_interval(np.flatnonzero(where.any(axis=axis)), n) for axis, n in _axes(where))
    return rows, columns


def _axes(where: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    return (1, where.shape[0]), (0, where.shape[1])


def _interval(used: NDArray[np.intp], length: int) -> slice:
    """Around the used rows or columns, at least `LEAST_WINDOW` long where the image is."""
    low, high = int(used[0]) - MARGIN, int(used[-1]) + 1 + MARGIN
    lacking = max(0, LEAST_WINDOW - (high - low))
    low, high = low - lacking // 2, high + lacking - lacking // 2
    low, high = low - max(0, high - length), high - min(0, low)
    return slice(max(0, low), min(length, high))


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image of at most `SIDE` px a side; small ones are doubled until they are easy to see."""
    scale = SIDE / max(image.shape[:2])
    if scale >= 2:
        factor = int(scale)
        return np.ascontiguousarray(image.repeat(factor, axis=0).repeat(factor, axis=1))
    height, width = (max(1, round(side * min(1.0, scale))) for side in image.shape[:2])
    return resize_image(image, (height, width))
