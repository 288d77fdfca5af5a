"""`predict` and `merge` for whole slides."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.machine import peak_memory_gib
from cerberus_bench.schema.running import SHARD_PX
from cerberus_bench.workflows.models import Predictor
from cerberus_bench.workflows.networks import NetworkPredictor

if TYPE_CHECKING:
    from cerberus_bench.slides.engine import Step
    from cerberus_bench.slides.folder import SlideFolder
    from cerberus_bench.slides.plan import Plan
    from cerberus_bench.slides.reader import SlideReader
    from cerberus_bench.slides.shard import SlideWork
    from cerberus_bench.slides.summary import SlideSummary

SlideProgress = Callable[[str, "Step"], object]
"""Called with a slide's name and how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideOptions:
    """How slides are worked through. None of it changes what is found, but for mpp and mask."""

    mpp: float | None = None
    """Microns per level-0 px; None takes what each slide states."""
    mask: Path | None = None
    """The user's own tissue mask: an image of any size over the whole slide, nonzero = tissue."""
    shard_px: int = SHARD_PX
    """Side of a shard at the model's resolution, a multiple of 1024."""
    part: tuple[int, int] | None = None
    """i, n: do every n-th shard only, and do not merge."""
    engine: Literal["threads", "ray"] = "threads"
    """What shares out the shards: threads of this process, or Ray (extra `ray`)."""
    workers: int | None = None
    """Threads that cut out objects, half of the cores when None; on Ray, processes that do all of
    a shard, one a GPU when None (or a machine, for a model that runs on CPUs)."""
    overwrite: bool = False
    """Begin anew where the folder of a slide is there already."""


DEFAULT = SlideOptions()
"""What each slide states of its mpp, tissue by rule, all shards."""


def predict_slide(
    slide: "Path | SlideReader",
    model: Predictor,
    out: Path,
    options: SlideOptions = DEFAULT,
    *,
    progress: SlideProgress | None = None,
) -> dict[str, Any]:
    """Write `<out>/<slide>/`: shards, and when all are there, all objects of the slide.

    Shards that are there already are not done again: a run that was killed goes on.

    Args:
        slide: a file, or an open slide such as `slides.array_reader.ArrayReader(pixels, mpp)`.
        model: a network, from `find_model`.
        out: folder to write below.
        options: how.
        progress: how far it is.

    Returns:
        slide, out, shards, n_missing (shards left undone), objects (task -> number, once merged),
        px_read_per_px, seconds, peak_memory_gib.

    Raises:
        DataError: the slide cannot be read or has no mpp, the model is no network, or the folder
            holds another plan.
    """
    from cerberus_bench.slides.engine import run_shards
    from cerberus_bench.slides.merge import merge_slide
    from cerberus_bench.slides.summary import read_summary

    begin = perf_counter()
    reader = _opened(slide, options.mpp)
    work = _planned(reader, model, out, options)
    folder, plan = work.folder, work.plan
    wanted = _shards_of(plan, options.part)
    missing = [index for index in wanted if folder.record(index) is None]
    run = run_shards if options.engine == "threads" else _on_ray(slide, model, options)
    run(
        work,
        missing,
        workers=options.workers,
        on_step=lambda step: progress and progress(reader.name, step),
    )
    summary = None
    if options.part is None:
        is_finished = not missing and folder.summary_path.is_file()
        summary = read_summary(folder.summary_path) if is_finished else merge_slide(folder)
    return _report(folder, plan, summary, perf_counter() - begin)


def merge(path: Path) -> list[dict[str, Any]]:
    """Join the shards of one slide, or of all slides in a folder.

    Args:
        path: folder of a slide, or of such folders.

    Returns:
        One report a slide, as `predict_slide` gives it.

    Raises:
        DataError: shards are missing; slides that are complete are merged nevertheless.
    """
    from cerberus_bench.slides.folder import SlideFolder
    from cerberus_bench.slides.merge import merge_slide

    inside = sorted(path.iterdir()) if path.is_dir() else []
    folders = [SlideFolder(found) for found in (path, *inside)]
    folders = [folder for folder in folders if folder.plan_path.is_file()]
    if not folders:
        raise DataError(f"{path} holds no slide. Give the folder that `predict` wrote to.")
    reports, errors = [], []
    for folder in folders:
        begin = perf_counter()
        try:
            summary = merge_slide(folder)
        except DataError as error:
            errors.append(str(error))
        else:
            reports.append(_report(folder, folder.plan(), summary, perf_counter() - begin))
    if errors:
        raise DataError("\n".join(errors))
    return reports


def parse_part(text: str) -> tuple[int, int]:
    """i, n from "i/n".

    Raises:
        DataError: it is no such part.
    """
    i, _, n = text.partition("/")
    if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise DataError(f"--shard {text} is no part of a whole: give i/n, such as 2/8.")
    return int(i), int(n)


def _planned(
    reader: "SlideReader", model: Predictor, out: Path, options: SlideOptions
) -> "SlideWork":
    """The work of a slide, with the plan that its folder has or now gets."""
    from cerberus_bench.slides.folder import SlideFolder
    from cerberus_bench.slides.model import slide_model
    from cerberus_bench.slides.plan import Wish
    from cerberus_bench.slides.shard import SlideWork

    if not isinstance(model, NetworkPredictor):
        raise DataError(
            f"{model.info.name} is no network of ours, and only those read whole slides. Cut the"
            " slide into images, or give another model."
        )
    if options.overwrite and options.part:
        raise DataError(
            "--overwrite with --shard would remove what other parts did: leave one away."
        )
    folder = SlideFolder(out / reader.name)
    if options.overwrite:
        folder.remove()
    network = slide_model(model.loaded, model.options, model.network)
    folder.begin(reader, network, Wish(options.shard_px, options.mask))
    return SlideWork.of(reader, network, folder, options.part)


def _on_ray(
    slide: "Path | SlideReader", model: Predictor, options: SlideOptions
) -> "Callable[..., None]":
    """`run_shards` on Ray, whose workers open the slide and the model themselves."""
    from cerberus_bench.slides.model import ready_model
    from cerberus_bench.slides.ray_engine import WorkerSetup, run_shards_on_ray

    assert isinstance(model, NetworkPredictor)  # the slide is planned
    source = slide.resolve() if isinstance(slide, Path) else slide
    setup = WorkerSetup(
        open_reader=partial(_opened, source, options.mpp),
        open_model=partial(ready_model, model.loaded, model.options),
    )
    return partial(run_shards_on_ray, setup)


def _opened(slide: "Path | SlideReader", mpp: float | None) -> "SlideReader":
    from cerberus_bench.slides.reader import open_slide

    return open_slide(slide, mpp) if isinstance(slide, Path) else slide


def _shards_of(plan: "Plan", part: tuple[int, int] | None) -> list[int]:
    from cerberus_bench.slides.plan import part_of

    indices = range(len(plan.shards))
    if part is None:
        return list(indices)
    return [index for index in indices if part_of(plan, index, part[1]) == part[0]]


def _report(
    folder: "SlideFolder", plan: "Plan", summary: "SlideSummary | None", seconds: float
) -> dict[str, Any]:
    records = [folder.record(index) for index in range(len(plan.shards))]
    done = [record for record in records if record is not None]
    needed = sum(record.px_needed for record in done)
    px_read = plan.tissue_px_read + sum(record.px_read for record in done)
    return {
        "slide": plan.slide.name,
        "out": str(folder.path),
        "shards": len(plan.shards),
        "n_missing": len(plan.shards) - len(done),
        "objects": summary and {task: found.n for task, found in summary.objects.items()},
        "tissue_mm2": summary and summary.tissue_mm2,
        "px_read_per_px": px_read / needed if needed else None,
        "seconds": seconds,
        "peak_memory_gib": peak_memory_gib(),
    }
