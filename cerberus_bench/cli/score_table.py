"""Score tables on the terminal: one a dataset, tasks below each other, headline scores bold."""

from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Table

from cerberus_bench.cli import show
from cerberus_bench.schema.report import Score
from cerberus_bench.schema.result import ResultRecord

FEW_GROUPS = 10
"""Intervals over fewer groups than this are marked."""


def show_result(result: ResultRecord, *, classes: bool = False) -> None:
    """Print a result: what was scored, the scores, and what could not be scored.

    Args:
        result: one record.
        classes: print a row for every class too.
    """
    _show_head(result)
    scores = [s for s in result.report.scores if classes or s.class_name is None]
    show.out.print(_table(scores))
    _show_foot(result)


def _show_head(result: ResultRecord) -> None:
    model, data = result.model, result.data
    synthetic = ", synthetic" if data.synthetic else ""
    show.out.print(
        f"\n[bold]{escape(model.name)}[/] on [bold]{escape(data.name)}[/] {data.split}, fold"
        f" {data.fold}{synthetic}: {result.report.n_images} records, {result.report.n_groups}"
        f" groups, {data.mpp} mpp, protocol {result.report.protocol_version}"
    )


def _table(scores: Iterable[Score]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("task", "score", "class"):
        table.add_column(name, overflow="fold")
    for name in ("pooled", "95 %", "image mean", "95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("images", "objects", "groups"):
        table.add_column(name, justify="right")
    table.add_column("convention")
    last = ""
    for rows in _by_line(scores):
        first = rows[0]
        if last and first.task != last:
            table.add_section()
        table.add_row(*_cells(rows, first.task != last), style="bold" if first.headline else "")
        last = first.task
    return table


def _by_line(scores: Iterable[Score]) -> list[list[Score]]:
    """Pooled value and image mean of one score share a line."""
    lines: dict[tuple[str | None, ...], list[Score]] = {}
    for s in scores:
        lines.setdefault((s.task, s.metric, s.class_name, s.convention, s.unit), []).append(s)
    return list(lines.values())


def _cells(rows: Sequence[Score], named: bool) -> list[str]:
    first = rows[0]
    by_averaging = {score.averaging: score for score in rows}
    cells = [first.task if named else "", _metric(first), first.class_name or ""]
    for averaging in ("pooled", "image_mean"):
        score = by_averaging.get(averaging)
        cells += [value_text(score), interval_text(score)] if score else ["", ""]
    counts = (first.n_images, first.n_objects, first.n_groups)
    return [escape(cell) for cell in (*cells, *(f"{n:,}" for n in counts), first.convention)]


def _metric(score: Score) -> str:
    return f"{score.metric} ({score.unit})" if score.unit else score.metric


def value_text(score: Score) -> str:
    """The value: three decimals for ratios, one for lengths, a dash where undefined."""
    if score.value is None:
        return "-"
    return f"{score.value:.1f}" if score.unit else f"{score.value:.3f}"


def interval_text(score: Score) -> str:
    """`low-high`, with a star where it rests on few groups."""
    if score.low is None or score.high is None:
        return ""
    digits = 1 if score.unit else 3
    star = "*" if score.n_groups < FEW_GROUPS else ""
    return f"{score.low:.{digits}f}-{score.high:.{digits}f}{star}"


def _show_foot(result: ResultRecord) -> None:
    report = result.report
    notes = []
    if any(s.low is not None and s.n_groups < FEW_GROUPS for s in report.scores):
        notes.append(f"* interval over fewer than {FEW_GROUPS} groups")
    if report.not_predicted:
        notes.append(f"not predicted by this model: {', '.join(report.not_predicted)}")
    if report.not_annotated:
        notes.append(f"predicted, not annotated here: {', '.join(report.not_annotated)}")
    for task, partition in report.partitions.items():
        left_out = [*partition.truth_only, *partition.prediction_only]
        if left_out:
            notes.append(
                f"{task} classes scored: {', '.join(partition.classes) or 'none'}"
                f" (only one side knows {', '.join(left_out)})"
            )
    for note in notes:
        show.out.print(note, style="dim", markup=False)
    if result.contamination.status != "clean":
        shared = ", ".join(result.contamination.shared)
        show.out.print(
            f"[bold yellow]{result.contamination.status}[/]:"
            f" {escape(result.contamination.reason)}" + (f" ({escape(shared)})" if shared else "")
        )
