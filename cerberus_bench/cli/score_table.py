"""Scores on the terminal: one table a task, headline scores bold, 80 columns wide."""

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
    model, data = result.model, result.data
    synthetic = " (synthetic)" if data.synthetic else ""
    variant = f" ({model.variant})" if model.variant else ""
    show.out.print(
        f"\n[bold]{escape(model.name)}[/]{variant} on [bold]{escape(data.name)}[/]{synthetic},"
        f" split {data.split}, fold {data.fold}: {result.report.n_images} records,"
        f" {result.report.n_groups} groups, {data.mpp} mpp, protocol"
        f" {result.report.protocol_version}",
        soft_wrap=True,
    )
    for task in dict.fromkeys(score.task for score in result.report.scores):
        scores = [s for s in result.report.scores if s.task == task]
        shown = [s for s in scores if classes or s.class_name is None]
        show.out.print(_table(task, shown))
    _show_notes(result)


def _table(task: str, scores: Sequence[Score]) -> Table:
    first = scores[0]
    title = (
        f"\n[bold]{task}[/]: {first.n_images} images, {first.n_objects:,} objects,"
        f" {first.n_groups} groups"
    )
    table = Table(
        title=title, title_justify="left", title_style="", box=None, pad_edge=False, width=80
    )
    table.add_column("score", min_width=22, no_wrap=True)
    for name in ("pooled", "95 %", "image mean", "95 %"):
        table.add_column(name, justify="right", no_wrap=True, header_style="dim")
    for line in _by_line(scores):
        table.add_row(*_cells(line), style="bold" if any(s.headline for s in line) else "")
    return table


def _by_line(scores: Iterable[Score]) -> list[list[Score]]:
    """Pooled value and image mean of one score share a line."""
    lines: dict[tuple[str | None, ...], list[Score]] = {}
    for s in scores:
        lines.setdefault((s.metric, s.class_name, s.convention, s.unit), []).append(s)
    return list(lines.values())


def _cells(line: Sequence[Score]) -> list[str]:
    by_averaging = {score.averaging: score for score in line}
    cells = [escape(_name(line[0]))]
    for averaging in ("pooled", "image_mean"):
        score = by_averaging.get(averaging)
        cells += [value_text(score), interval_text(score)] if score else ["", ""]
    return cells


def _name(score: Score) -> str:
    extras = [score.unit, score.convention if score.convention != "exact" else None]
    listed = ", ".join(text for text in extras if text)
    name = f"  {score.metric} {score.class_name}" if score.class_name else score.metric
    return f"{name} ({listed})" if listed else name


def value_text(score: Score) -> str:
    """The value: three decimals for ratios, one for lengths, a dash where undefined."""
    if score.value is None:
        return "-"
    return f"{score.value:.1f}" if score.unit else f"{score.value:.3f}"


def interval_text(score: Score) -> str:
    """`low to high`, with a star where it rests on few groups."""
    if score.low is None or score.high is None:
        return ""
    digits = 1 if score.unit else 3
    star = "*" if score.n_groups < FEW_GROUPS else ""
    return f"{score.low:.{digits}f} to {score.high:.{digits}f}{star}"


def _show_notes(result: ResultRecord) -> None:
    for note in _notes(result):
        show.out.print(note, style="dim", markup=False, soft_wrap=True)
    found = result.contamination
    if found.status != "clean":
        shared = f" ({', '.join(found.shared)})" if found.shared else ""
        show.out.print(
            f"[bold yellow]{found.status}[/]: {escape(found.reason + shared)}", soft_wrap=True
        )
    if found.images:
        show.out.print(f"trained on: {', '.join(found.images)}", markup=False, soft_wrap=True)


def _notes(result: ResultRecord) -> list[str]:
    report = result.report
    notes = [""]
    if any(s.low is not None and s.n_groups < FEW_GROUPS for s in report.scores):
        notes.append(f"* interval over fewer than {FEW_GROUPS} groups: rough")
    infinite = {s.task: s.n_infinite for s in report.scores if s.n_infinite}
    notes += [
        f"{task}: {n} images with objects on one side only have no finite distance"
        for task, n in infinite.items()
    ]
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
    return notes
