"""Audit of harmonised folders: duplicates, leakage over splits, and what is odd about objects.

Records are decoded one at a time. What stays of each is its key, its two hashes and what the
checks found, about a kilobyte.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.audit_report import (
    MAX_IDS,
    AuditReport,
    DatasetAudit,
    DuplicateSet,
    FaultCheck,
    Finding,
    Member,
    Sizes,
    TaskAudit,
    TornGroup,
)
from cerberus_bench.loaders.image_hashes import WORDS, near_pairs, perceptual_hash, pixel_hash
from cerberus_bench.loaders.object_checks import (
    annotated,
    areas,
    class_names,
    n_objects,
    suspects,
)
from cerberus_bench.loaders.splits import components_of
from cerberus_bench.loaders.table import Table
from cerberus_bench.schema.dataset import FaultKind, KnownFault
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Record

Progress = Callable[[int, int, str], None]
"""Called with records done, records in all, and the record just done."""

_STEPS_PER_DECADE = 100
"""Quantiles of sizes are exact to one in this many steps of a factor of ten, 2.3 %."""


def audit_tables(
    tables: Sequence[Table],
    faults: Mapping[str, Sequence[KnownFault]],
    progress: Progress | None = None,
) -> AuditReport:
    """Look at every record of opened folders, and compare all with all.

    Args:
        tables: opened with all their splits; the parts of one dataset may lie in several.
        faults: dataset -> faults that must be found.
        progress: told after each record.

    Raises:
        DataError: a record is there twice, or cannot be decoded.
    """
    seen = _Seen()
    total = sum(len(table) for table in tables)
    for number, table in enumerate(tables):
        for index in range(len(table)):
            key = table.keys[index]
            where = Member(
                dataset=table.name,
                sample_id=key.sample_id,
                split=key.split or "",
                fold=key.fold or 0,
                table=number,
                index=index,
            )
            seen.add(where, table[index], table)
            if progress:
                progress(len(seen.members), total, key.sample_id)
    return seen.report(tables, faults)


@dataclass(slots=True)
class _TaskTally:
    """Counts of one task of one dataset as its records pass."""

    n_records: int = 0
    n_objects: int = 0
    classes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    areas: Counter[int] = field(default_factory=Counter)
    """Steps of the logarithm of the area -> objects."""
    smallest: float = math.inf
    largest: float = 0.0
    faults: dict[FaultKind, tuple[int, int]] = field(default_factory=dict)

    def add_areas(self, um2: NDArray[np.floating]) -> None:
        if len(um2):
            self.areas.update(np.rint(_STEPS_PER_DECADE * np.log10(um2)).astype(int).tolist())
            self.smallest = min(self.smallest, float(um2.min()))
            self.largest = max(self.largest, float(um2.max()))

    def sizes(self) -> Sizes | None:
        if not self.areas:
            return None
        p5, median, p95 = (self._quantile(q) for q in (0.05, 0.5, 0.95))
        return Sizes(smallest=self.smallest, p5=p5, median=median, p95=p95, largest=self.largest)

    def _quantile(self, share: float) -> float:
        steps = sorted(self.areas)
        below = np.cumsum([self.areas[step] for step in steps])
        step = steps[int(np.searchsorted(below, share * below[-1]))]
        return min(self.largest, max(self.smallest, 10 ** (step / _STEPS_PER_DECADE)))


@dataclass(slots=True)
class _Seen:
    """What is kept of the records that have passed."""

    members: list[Member] = field(default_factory=list)
    pixels: list[str] = field(default_factory=list)
    pictures: list[NDArray[np.uint64] | None] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    tasks: dict[tuple[str, str], _TaskTally] = field(
        default_factory=lambda: defaultdict(_TaskTally)
    )

    def add(self, where: Member, record: Record, table: Table) -> None:
        self.members.append(where)
        self.pixels.append(pixel_hash(record.image))
        self.pictures.append(perceptual_hash(record.image))
        for task in annotated(record):
            self._add_task(where, record, task, table)

    def _add_task(self, where: Member, record: Record, task: str, table: Table) -> None:
        tally = self.tasks[where.dataset, task]
        names = class_names(record, task, table.label_spaces[task])
        tally.n_records += 1
        tally.n_objects += n_objects(record, task)
        tally.classes[where.split].update(name or "none" for name in names)
        if task in record.instances:
            tally.add_areas(areas(record.instances[task]) * record.mpp**2)
        for found in suspects(record, task):
            ids = found.ids.tolist()
            objects, records = tally.faults.get(found.kind, (0, 0))
            tally.faults[found.kind] = (objects + len(ids), records + 1)
            self.findings.append(
                Finding(
                    kind=found.kind,
                    task=task,
                    where=where,
                    n=len(ids),
                    ids=tuple(ids[:MAX_IDS]),
                )
            )

    def report(
        self, tables: Sequence[Table], faults: Mapping[str, Sequence[KnownFault]]
    ) -> AuditReport:
        self._refuse_repeats()
        components = components_of([key for table in tables for key in table.keys])
        duplicates = _duplicate_sets(self.members, self.pixels, self.pictures, components)
        datasets = self._datasets(tables)
        return AuditReport(
            datasets=datasets,
            tasks=tuple(_task_audit(d, t, tally) for (d, t), tally in self.tasks.items()),
            duplicates=duplicates,
            torn_groups=_torn_groups(self.members, components),
            findings=tuple(self.findings),
            known_faults=tuple(
                FaultCheck(
                    dataset=dataset.name,
                    fault=fault,
                    state=self._state(dataset, fault, duplicates),
                )
                for dataset in datasets
                for fault in faults.get(dataset.name, ())
            ),
        )

    def _refuse_repeats(self) -> None:
        counts = Counter(member.sample_id for member in self.members)
        sample, n = counts.most_common(1)[0]
        if n > 1:
            raise DataError(
                f"{sample} is there {n} times: two of the folders hold the same dataset. Audit one"
                " of them at a time."
            )

    def _datasets(self, tables: Sequence[Table]) -> tuple[DatasetAudit, ...]:
        by_name: dict[str, list[Table]] = defaultdict(list)
        for table in tables:
            by_name[table.name].append(table)
        flat = Counter(
            m.dataset for m, h in zip(self.members, self.pictures, strict=True) if h is None
        )
        return tuple(
            DatasetAudit(
                name=name,
                version=parts[0].version,
                n_records=dict(Counter(m.split for m in self.members if m.dataset == name)),
                n_flat=flat[name],
                notes=_added(part.metadata.notes for part in parts),
                n_missing=sum(_added(part.metadata.missing for part in parts).values()),
                official_overlap={
                    official: tuple(groups)
                    for part in parts
                    for official, groups in part.metadata.official_overlap.items()
                },
            )
            for name, parts in by_name.items()
        )

    def _state(
        self, dataset: DatasetAudit, fault: KnownFault, duplicates: Sequence[DuplicateSet]
    ) -> str:
        if fault.kind in (FaultKind.NOTE, FaultKind.OFFICIAL_LEAK):
            shared = dataset.official_overlap.get(fault.record, ())
            is_note = fault.kind is FaultKind.NOTE
            is_found = fault.text in dataset.notes if is_note else fault.other in shared
            is_here = is_found or not dataset.n_missing
        else:
            names = {_record_of(member) for member in self.members}
            wanted = {f"{dataset.name}/{fault.record}", *([fault.other] if fault.other else [])}
            is_here = wanted <= names
            is_found = _shows(fault, wanted, self.findings, duplicates)
        return "found" if is_here and is_found else "gone" if is_here else "absent"


def _shows(
    fault: KnownFault,
    wanted: set[str],
    findings: Sequence[Finding],
    duplicates: Sequence[DuplicateSet],
) -> bool:
    if fault.kind is FaultKind.DUPLICATE:
        return any(wanted <= {_record_of(m) for m in found.members} for found in duplicates)
    return any(
        found.kind is fault.kind and found.task == fault.task and _record_of(found.where) in wanted
        for found in findings
    )


def _record_of(member: Member) -> str:
    """`<dataset>/<record>`, without the place of a cut."""
    return re.sub(r"@\d+,\d+$", "", member.sample_id)


def _task_audit(dataset: str, task: str, tally: _TaskTally) -> TaskAudit:
    return TaskAudit(
        dataset=dataset,
        task=task,
        n_records=tally.n_records,
        n_objects=tally.n_objects,
        classes={split: dict(counts) for split, counts in tally.classes.items()},
        sizes=tally.sizes(),
        faults=tally.faults,
    )


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _duplicate_sets(
    members: Sequence[Member],
    pixels: Sequence[str],
    pictures: Sequence[NDArray[np.uint64] | None],
    components: Sequence[str],
) -> tuple[DuplicateSet, ...]:
    """Records joined by equal pixels or near pictures, directly or through others."""
    bits = dict.fromkeys(_equal_pairs(pixels), 0)
    copies = {j for _, j in bits}
    known = [i for i, h in enumerate(pictures) if h is not None and i not in copies]
    stacked = np.array([pictures[i] for i in known], np.uint64).reshape(len(known), WORDS)
    bits.update({(known[a], known[b]): distance for a, b, distance in near_pairs(stacked)})
    sets = []
    for joined in _joined(bits):
        inside = [n for (i, _), n in bits.items() if i in joined]
        sets.append(
            DuplicateSet(
                members=tuple(members[i] for i in sorted(joined)),
                bits=max(inside),
                is_exact=len({pixels[i] for i in joined}) == 1,
                is_linked=len({components[i] for i in joined}) == 1,
            )
        )
    return tuple(sorted(sets, key=lambda found: not found.leaks))


def _equal_pairs(pixels: Sequence[str]) -> list[tuple[int, int]]:
    """Each record with the first of the same pixels."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(h, i), i) for i, h in enumerate(pixels)]
    return [(i, j) for i, j in pairs if i != j]


def _joined(pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    """Connected sets of numbers."""
    sets: dict[int, set[int]] = {}
    for i, j in pairs:
        one, other = sets.setdefault(i, {i}), sets.setdefault(j, {j})
        if one is not other:
            one |= other
            sets.update(dict.fromkeys(other, one))
    return list({id(joined): joined for joined in sets.values()}.values())


def _torn_groups(members: Sequence[Member], components: Sequence[str]) -> tuple[TornGroup, ...]:
    places: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for member, component in zip(members, components, strict=True):
        places[component][member.dataset, member.split] += 1
    return tuple(
        TornGroup(name=name, members={f"{d} {s}": n for (d, s), n in counts.items()})
        for name, counts in sorted(places.items())
        if len({split for _, split in counts}) > 1
    )
