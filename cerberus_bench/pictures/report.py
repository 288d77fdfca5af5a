"""The report of one evaluation as a single HTML file: scores, where the model fails, images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cerberus_bench.pictures.breakdown import SHOWN_GROUPS, Breakdown
from cerberus_bench.pictures.examples import (
    INSIDE,
    INSIDE_OPACITY,
    MATCHED,
    MISSED,
    NOTHING,
    SPURIOUS,
    Example,
    Layer,
    layers,
    picture,
)
from cerberus_bench.pictures.overlay import class_colour
from cerberus_bench.pictures.shell import layer_uri, render_page, tissue_uri, write_page
from cerberus_bench.pictures.wording import (
    AVERAGING_NAMES,
    FEW_GROUPS,
    UNDEFINED,
    Whisker,
    axis_end,
    class_name,
    interval_text,
    metric_name,
    task_name,
    value_text,
    whisker,
)
from cerberus_bench.schema.labels import ONTOLOGY
from cerberus_bench.schema.report import Score, ScoredPartition, ScoreReport
from cerberus_bench.schema.result import ResultRecord
from cerberus_bench.schema.tasks import TASKS, Kind

CONTAMINATION_TEXT = {
    "clean": "clean: no training data shared",
    "contaminated": "contaminated: training data shared",
    "unknown": "training data unknown",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a score table."""

    score: Score
    metric: str
    class_name: str
    colour: str
    value: str
    interval: str
    averaging: str
    whisker: Whisker | None
    few_groups: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of a score table under one heading."""

    heading: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that stands in the page once, however often it is shown."""

    key: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """Objects of one side, to be laid over a picture, as data URIs."""

    lines: str
    insides: str | None
    """Tints of what is missed or spurious; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Card:
    """One example, ready to be shown."""

    key: str
    """Unique in the page."""
    sample_id: str
    group: str
    score: str
    picture: Picture
    drawings: list[Drawing]
    """Truth and prediction; nothing for tissue."""
    note: str
    """What is missed and spurious, or the classes of a patch."""
    correct: bool | None
    """Whether a patch got its class; None for other tasks."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Best, middle or worst images of a task."""

    heading: str
    cards: list[Card]


@dataclass(frozen=True, slots=True)
class Section:
    """All that is shown of one task."""

    task: str
    title: str
    blocks: list[Block]
    partition: ScoredPartition | None
    classes: dict[str, list[str]]
    """Names of the classes scored, and of those that one side only can express."""
    galleries: list[Gallery]
    thumbnails: bool
    breakdown: Breakdown | None

    @property
    def headlines(self) -> list[Row]:
        """The lines that are shown at a glance."""
        return [row for block in self.blocks for row in block.rows if row.score.headline]


def evaluation_report(
    result: ResultRecord,
    examples: Sequence[Example],
    out: Path,
    breakdowns: Sequence[Breakdown] = (),
) -> Path:
    """Write the report of one evaluation as one HTML file that needs no network.

    Args:
        result: what was scored, and how well.
        examples: images to show, in the order in which they are to appear within their rank.
        out: file to write; its folder is made.
        breakdowns: tasks taken apart; at most one a task.

    Returns:
        The file.
    """
    apart = {breakdown.task: breakdown for breakdown in breakdowns}
    pictures = _pictures(examples)
    sections = [
        _section(task, result.report, examples, pictures, apart.get(task))
        for task in _tasks(result, examples)
    ]
    html = render_page(
        "report.html",
        title=f"{result.model.name} on {result.data.name}",
        result=result,
        sections=sections,
        pictures=list(pictures.values()),
        contamination=CONTAMINATION_TEXT[result.contamination.status],
        few_groups=result.report.n_groups < FEW_GROUPS,
        not_predicted=[task_name(task) for task in result.report.not_predicted],
        not_annotated=[task_name(task) for task in result.report.not_annotated],
        shown_groups=SHOWN_GROUPS,
        few=FEW_GROUPS,
        colours={"matched": MATCHED, "missed": MISSED, "spurious": SPURIOUS},
    )
    return write_page(html, out)


def _tasks(result: ResultRecord, examples: Sequence[Example]) -> list[str]:
    named = [*TASKS, *(s.task for s in result.report.scores)]
    shown = {s.task for s in result.report.scores} | {e.task for e in examples}
    return [task for task in dict.fromkeys(named) if task in shown]


def _pictures(examples: Sequence[Example]) -> dict[tuple[str, bool], Picture]:
    """One picture a sample, and another one where it is shown small."""
    found: dict[tuple[str, bool], Picture] = {}
    for example in examples:
        key = _picture_key(example)
        if key not in found:
            image = picture(example)
            height, width = image.shape[:2]
            found[key] = Picture(f"picture-{len(found)}", tissue_uri(image), width, height)
    return found


def _picture_key(example: Example) -> tuple[str, bool]:
    return example.sample_id, example.kind is Kind.TILE_CLASS


def _section(
    task: str,
    report: ScoreReport,
    examples: Sequence[Example],
    pictures: Mapping[tuple[str, bool], Picture],
    breakdown: Breakdown | None,
) -> Section:
    partition = report.partitions.get(task)
    own = [example for example in examples if example.task == task]
    cards = [_card(e, pictures[_picture_key(e)], number) for number, e in enumerate(own)]
    galleries = [
        Gallery(rank, [c for c, e in zip(cards, own, strict=True) if e.rank == rank])
        for rank in ("worst", "median", "best")
        if any(example.rank == rank for example in own)
    ]
    return Section(
        task,
        task_name(task),
        _blocks([score for score in report.scores if score.task == task]),
        partition,
        _class_names(task, partition),
        galleries,
        task in TASKS and TASKS[task].kind is Kind.TILE_CLASS,
        breakdown,
    )


def _class_names(task: str, partition: ScoredPartition | None) -> dict[str, list[str]]:
    if partition is None:
        return {}
    listed = {
        "scored": partition.classes,
        "truth_only": partition.truth_only,
        "prediction_only": partition.prediction_only,
    }
    return {kind: [class_name(task, node) for node in nodes] for kind, nodes in listed.items()}


def _blocks(scores: Sequence[Score]) -> list[Block]:
    parts = (
        ("Headline", [s for s in scores if s.headline]),
        ("Further scores", [s for s in scores if not s.headline and s.class_name is None]),
        ("By class", [s for s in scores if not s.headline and s.class_name is not None]),
    )
    return [
        Block(heading, [_row(s, axis_end(s, scores)) for s in part])
        for heading, part in parts
        if part
    ]


def _row(score: Score, end: float) -> Row:
    known = score.class_name in ONTOLOGY.get(score.task, {})
    return Row(
        score,
        metric_name(score.metric),
        class_name(score.task, score.class_name) if score.class_name else "",
        class_colour(score.task, score.class_name) if known else "",
        value_text(score),
        interval_text(score),
        AVERAGING_NAMES[score.averaging],
        whisker(score, end),
        score.low is not None and score.n_groups < FEW_GROUPS,
    )


def _card(example: Example, shown: Picture, number: int) -> Card:
    tissue = example.kind is Kind.TILE_CLASS
    return Card(
        f"{example.task}-{number}",
        example.sample_id,
        example.group,
        UNDEFINED if example.score is None else f"{example.score:.3f}",
        shown,
        [
            _drawing(layer, wrong)
            for layer, wrong in zip(layers(example), (MISSED, SPURIOUS), strict=False)
        ],
        _patch_note(example) if tissue else _object_note(example),
        example.truth_class == example.predicted_class if tissue else None,
    )


def _drawing(layer: Layer, wrong: str) -> Drawing:
    inside = (layer == INSIDE).astype(np.uint8)
    lines = np.where(layer == INSIDE, np.uint8(NOTHING), layer)
    return Drawing(
        layer_uri(lines, ((MATCHED, 1), (wrong, 1))),
        layer_uri(inside, ((wrong, INSIDE_OPACITY),)) if inside.any() else None,
    )


def _patch_note(example: Example) -> str:
    truth, predicted = (
        class_name(example.task, node) if node else "none"
        for node in (example.truth_class, example.predicted_class)
    )
    probability = "" if example.probability is None else f" ({example.probability:.2f})"
    return f"{truth}, predicted {predicted}{probability}"


def _object_note(example: Example) -> str:
    return f"{len(example.missed)} missed, {len(example.spurious)} spurious"
