"""What `audit` shows on a terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cerberus_bench.cli import show

if TYPE_CHECKING:
    from cerberus_bench.workflows.audit import AuditReport, DuplicateSet, TaskAudit

MAX_LINES = 10
"""Duplicates, groups and faults that are listed each; the rest is counted."""


def report_json(report: "AuditReport") -> dict[str, Any]:
    """The report as plain containers, with why it failed."""
    plain = asdict(report)
    for found, duplicate in zip(plain["duplicates"], report.duplicates, strict=True):
        found["leaks"] = duplicate.leaks
    return plain | {"failures": report.failures}


def show_report(report: "AuditReport") -> None:
    """Tables of objects, classes and findings; then duplicates, groups, known faults."""
    _show_objects(report.tasks)
    _show_duplicates(report)
    _show_lines(
        "groups in several splits",
        [f"{torn.name}: {_counted(torn.members)}" for torn in report.torn_groups],
    )
    _show_lines(
        "known faults",
        [f"{c.dataset} {c.fault.record}: {c.fault.text} ({c.state})" for c in report.known_faults],
    )
    for failure in report.failures:
        show.out.print(f"[bold red]failed[/]: {failure}", soft_wrap=True)
    if not report.failures:
        show.out.print("[bold green]sound[/]: no duplicate and no group lies in two splits")


def _show_objects(tasks: "Sequence[TaskAudit]") -> None:
    columns = ("dataset", "task", "records", "objects", "5 % um2", "median", "95 %", "look at")
    show.table("", columns, [_object_row(one) for one in tasks])
    rows = [
        [one.dataset, one.task, split, _counted(dict(sorted(counts.items(), key=lambda c: -c[1])))]
        for one in tasks
        for split, counts in one.classes.items()
    ]
    show.out.print()
    show.table("", ("dataset", "task", "split", "classes"), rows)


def _object_row(one: "TaskAudit") -> list[Any]:
    sizes = one.sizes
    quantiles = (sizes.p5, sizes.median, sizes.p95) if sizes else (None, None, None)
    faults = [f"{kind} {n or records:,}" for kind, (n, records) in one.faults.items()]
    return [
        *(one.dataset, one.task, one.n_records, one.n_objects),
        *("" if q is None else f"{q:,.1f}" for q in quantiles),
        ", ".join(faults),
    ]


def _show_duplicates(report: "AuditReport") -> None:
    _show_lines("duplicates", [_duplicate_line(found) for found in report.duplicates])
    for dataset in report.datasets:
        if dataset.n_flat:
            show.out.print(
                f"{dataset.name}: {dataset.n_flat:,} records are too flat to be recognised when"
                " resampled; only equal pixels are found",
                soft_wrap=True,
            )


def _duplicate_line(found: "DuplicateSet") -> str:
    shown = [f"{m.sample_id} ({m.split} {m.fold})" for m in found.members[:4]]
    more = len(found.members) - len(shown)
    how = "same pixels" if found.is_exact else f"same picture, {found.bits}/512 bits"
    known = "" if found.is_linked else ", unknown to groups and origins"
    leak = "LEAK: " if found.leaks else ""
    return f"{leak}{', '.join(shown)}{f' and {more} more' if more else ''}: {how}{known}"


def _show_lines(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    show.out.print(f"\n[bold]{title}[/]: {len(lines):,}")
    for line in lines[:MAX_LINES]:
        show.out.print(f"  {line}", soft_wrap=True, markup=False)
    if len(lines) > MAX_LINES:
        show.out.print(f"  ... and {len(lines) - MAX_LINES:,} more (--json lists all)")


def _counted(counts: Any) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())
