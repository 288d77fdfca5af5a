"""`parity`: how far fast windows, low precision and other backends are from exact fp32 torch.

Truth is not looked at: the predictions of the one way are scored against those of the other.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.agreement import AgreementCounts, agreement, box_agreement
from cerberus_bench.model_zoo.boxes import BOX, HEAT, find_boxes
from cerberus_bench.model_zoo.options import DEFAULT, RunOptions
from cerberus_bench.model_zoo.tiling import plan_windows
from cerberus_bench.provenance import now_utc
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.parity import ParityBounds, ParityReport, TaskParity
from cerberus_bench.schema.prediction import PredictedInstances
from cerberus_bench.schema.resample import resize_image, scaled_shape
from cerberus_bench.schema.result import DataInfo
from cerberus_bench.schema.tasks import SIGNET_RING
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.evaluate import data_info
from cerberus_bench.workflows.networks import NetworkPredictor, load_network, network_predictor
from cerberus_bench.workflows.progress import Progress, tracked

if TYPE_CHECKING:
    from cerberus_bench.loaders.table import Table

Image = NDArray[np.uint8]
Shape = tuple[int, int]

TORCH_WAYS = ("fast", "bf16", "fast-bf16")
OPENVINO_WAYS = ("openvino", "bf16-openvino", "fast-bf16-openvino")


def measure_parity(
    model: str,
    data: str = "phantom",
    *,
    split: str = "validation",
    fold: int = 3,
    ways: Sequence[str] = (),
    bounds: ParityBounds = ParityBounds(),  # noqa: B008 (frozen)
    n_images: int = 24,
    mosaic: int = 1,
    write: bool = False,
    progress: Progress | None = None,
) -> list[ParityReport]:
    """Run a network in several ways on the same images, and compare each with exact fp32 torch.

    Args:
        model: zoo name, model file, `hf:ORG/NAME[@revision]` or `random:<zoo name>`.
        data: dataset name or harmonised folder; only its images are used.
        split: test, validation, train, or official:<part>.
        fold: which fold is the test fold.
        ways: such as `fast-bf16-openvino`; all that can be measured here when empty.
        bounds: the least agreement that passes.
        n_images: at most so many images, evenly spaced over the split.
        mosaic: lay so many by so many neighbouring images side by side, for data whose images are
            so small that fast mode lays no other windows than exact mode.
        write: put the reports that passed or failed into the card of the model file, which gets
            another hash by it.
        progress: how far it is.

    Raises:
        DataError: the model, the data or a way is missing or does not fit; or the file is none
            that may be changed.
    """
    options = [_options(way) for way in ways or _measurable()]
    card_file = _card_file(model) if write else None
    reference, *others = _ready(model, [DEFAULT, *options])
    source = open_data(data, split=split, fold=fold, progress=progress)
    groups = _groups(len(source), n_images, mosaic)
    tallies = [_Tally() for _ in others]
    seen: set[Shape] = set()
    for group in tracked(groups, f"parity of {model}", progress):
        image = _picture(source, group, mosaic, reference.loaded.mpp)
        shape = (image.shape[0], image.shape[1])
        if shape not in seen:
            for predictor in (reference, *others):
                _run(predictor, image)  # what a backend makes once for a shape is not timed
            seen.add(shape)
        expected = _run(reference, image)
        for predictor, tally in zip(others, tallies, strict=True):
            tally.add(expected, _run(predictor, image))
    info = data_info(source).model_copy(update={"n_images": len(groups)})
    reports = [
        tally.report(predictor, _windows_differ(predictor, seen), info, bounds, mosaic)
        for predictor, tally in zip(others, tallies, strict=True)
    ]
    if card_file:
        _write_card(card_file, reports)
    return reports


@dataclass(frozen=True, slots=True)
class _Found:
    """What one way found in one image, and the seconds that the network took."""

    maps: dict[str, NDArray[np.float32]]
    instances: dict[str, PredictedInstances]
    boxes: NDArray[np.float32] | None
    tissue: NDArray[np.float64] | None
    seconds: float


def _run(predictor: NetworkPredictor, image: Image) -> _Found:
    from cerberus_bench.model_zoo.runner import dense_maps, find_instances, tissue_probabilities

    tasks = list(predictor.label_spaces)
    begin = time.perf_counter()
    maps = dense_maps(predictor.loaded, predictor.network, image, tasks, predictor.options)
    tissue = tissue_probabilities(predictor.network, image) if "tissue" in tasks else None
    seconds = time.perf_counter() - begin
    boxes = find_boxes(maps[BOX], image.shape[:2])[0] if BOX in maps else None
    return _Found(maps, find_instances(maps), boxes, tissue, seconds)


@dataclass(slots=True)
class _Tally:
    """One way against the reference, over all images."""

    tasks: dict[str, AgreementCounts] = field(default_factory=dict)
    n_patches: int = 0
    n_same_tissue: int = 0
    largest_difference: float = 0.0
    seconds: float = 0.0
    reference_seconds: float = 0.0

    def add(self, expected: _Found, found: _Found) -> None:
        """Count one image."""
        for task, objects in expected.instances.items():
            self._agree(task, agreement(objects, found.instances[task]))
        if expected.boxes is not None and found.boxes is not None:
            self._agree(SIGNET_RING.name, box_agreement(expected.boxes, found.boxes))
        for name, values in expected.maps.items():
            # of boxes only the centres are probabilities
            channels = slice(HEAT, HEAT + 1) if name == BOX else slice(None)
            self._differ(float(np.abs(values - found.maps[name])[..., channels].max()))
        if expected.tissue is not None and found.tissue is not None:
            self.n_patches += 1
            self.n_same_tissue += int(expected.tissue.argmax() == found.tissue.argmax())
            self._differ(float(np.abs(expected.tissue - found.tissue).max()))
        self.seconds += found.seconds
        self.reference_seconds += expected.seconds

    def _agree(self, task: str, counts: AgreementCounts) -> None:
        self.tasks[task] = self.tasks.get(task, AgreementCounts()) + counts

    def _differ(self, difference: float) -> None:
        self.largest_difference = max(self.largest_difference, difference)

    def report(
        self,
        predictor: NetworkPredictor,
        windows_differ: bool,
        data: DataInfo,
        bounds: ParityBounds,
        mosaic: int,
    ) -> ParityReport:
        """The ratios of all counts."""
        inference = predictor.info.inference
        assert inference is not None
        return ParityReport(
            mode=inference.mode,
            precision=inference.precision,
            backend=inference.backend,
            device=inference.device,
            data=data,
            mosaic=mosaic,
            bounds=bounds,
            tasks=[
                _task_parity(task, counts, len(predictor.label_spaces[task].classes) > 1)
                for task, counts in self.tasks.items()
            ],
            n_patches=self.n_patches,
            tissue=self.n_same_tissue / self.n_patches if self.n_patches else None,
            largest_difference=self.largest_difference,
            speed=self.reference_seconds / self.seconds,
            windows_differ=windows_differ,
            created_utc=now_utc(),
        )


def _task_parity(task: str, counts: AgreementCounts, has_classes: bool) -> TaskParity:
    quality = counts.panoptic.quality()
    return TaskParity(
        task=task,
        n_objects=quality.tp + quality.fn,
        pq=_defined(quality.pq),
        dice=_defined(counts.dice.dice),
        classes=_defined(counts.classes) if has_classes else None,
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _measurable() -> tuple[str, ...]:
    return TORCH_WAYS + (OPENVINO_WAYS if find_spec("openvino") else ())


def _options(way: str) -> RunOptions:
    """Options of a way such as `fast-bf16`."""
    words = set(way.split("-"))
    options = RunOptions(
        mode="fast" if "fast" in words else "exact",
        precision="bf16" if "bf16" in words else "fp32",
        backend="openvino" if "openvino" in words else "torch",
    )
    if words - {"fast", "bf16", "openvino"}:
        raise DataError(
            f"{way!r} is no way to run a network. Join what is to differ from exact fp32 torch by"
            " hyphens: fast, bf16, openvino, such as fast-bf16."
        )
    return options


def _ready(model: str, ways: Sequence[RunOptions]) -> list[NetworkPredictor]:
    """The model in each way, loaded once for each backend: they may run on other devices."""
    loaded = {
        backend: load_network(model, backend=backend)
        for backend in dict.fromkeys(options.backend for options in ways)
    }
    return [network_predictor(loaded[options.backend], options) for options in ways]


def _windows_differ(predictor: NetworkPredictor, shapes: set[Shape]) -> bool:
    loaded = predictor.loaded
    exact, own = DEFAULT.tiling(loaded), predictor.options.tiling(loaded)
    return any(plan_windows(shape, exact) != plan_windows(shape, own) for shape in shapes)


def _groups(n_records: int, n_images: int, mosaic: int) -> list[list[int]]:
    """Records of each image: neighbours, evenly spaced over all."""
    size = mosaic**2
    n_possible = n_records // size
    if not n_possible:
        raise DataError(
            f"a mosaic of {mosaic} x {mosaic} images needs {size}, and there are {n_records}"
        )
    chosen = np.unique(np.linspace(0, n_possible - 1, n_images).round().astype(int))
    return [list(range(size * start, size * (start + 1))) for start in chosen.tolist()]


def _picture(source: "Table", group: Sequence[int], mosaic: int, mpp: float) -> Image:
    """Records side by side at a resolution, in rows; their common corner where sizes differ."""
    images = []
    for index in group:
        record = source[index]
        height, width = record.image.shape[:2]
        images.append(resize_image(record.image, scaled_shape((height, width), record.mpp, mpp)))
    height, width = (min(image.shape[axis] for image in images) for axis in (0, 1))
    rows = [
        np.concatenate([i[:height, :width] for i in images[start : start + mosaic]], axis=1)
        for start in range(0, len(images), mosaic)
    ]
    return np.concatenate(rows, axis=0)


def _card_file(model: str) -> Path:
    """The file whose card is to be written, refused before anything is measured."""
    from cerberus_bench.model_zoo import MODELS, load_model

    path = Path(model)
    if model in MODELS:
        raise DataError(
            f"{model} ships with the package: its file is the one that published results name by"
            " its hash, so its card stays as it is. Leave out --write."
        )
    if not path.is_file():
        raise DataError(f"--write changes the card of a model file, and {model} is none")
    load_model(path)
    return path


def _write_card(path: Path, reports: Sequence[ParityReport]) -> None:
    from cerberus_bench.model_zoo.checkpoint import load_model, replace_card

    card = load_model(path).card
    assert card is not None
    measured = [report for report in reports if report.verdict != "unmeasured"]
    kept = {report.variant: report for report in [*card.parity, *measured]}
    replace_card(path, card.model_copy(update={"parity": list(kept.values())}))
