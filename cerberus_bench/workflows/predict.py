"""`predict`: images to label maps, object tables and overlays; slides to objects."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.prediction import Prediction
from cerberus_bench.schema.record import Coverage, Record, check_image
from cerberus_bench.schema.tasks import SIGNET_RING
from cerberus_bench.workflows.models import Predictor
from cerberus_bench.workflows.predict_slides import (
    DEFAULT,
    SlideOptions,
    SlideProgress,
    predict_slide,
)
from cerberus_bench.workflows.progress import Progress, tracked

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu", ".dcm")
"""What is looked for in folders; what a file is, its content decides."""
MAX_PIXELS = 100_000_000
OUTLINES = {"gland": "#2b8a3e", "lumen": "#212529", "nuclei": "#e03131"}
"""Colours of the overlay, back to front; boxes come last."""
BOX_COLOUR = "#1971c2"
BOX_COLUMNS = ("x0", "y0", "x1", "y1")
TISSUE_PATCH_UM = 130
"""A tissue class is predicted for images up to this side: patches of 224 px at 0.5 mpp."""


def predict(
    inputs: Sequence[Path],
    model: Predictor,
    out: Path,
    options: SlideOptions = DEFAULT,
    *,
    progress: Progress | None = None,
    slide_progress: SlideProgress | None = None,
) -> list[dict[str, Any]]:
    """Write `<out>/<name>/` for every image and every whole slide, told apart by content.

    Images: 16-bit maps, `objects.csv`, `overlay.png`. Slides: see `predict_slide`.

    Signet ring cells, where the model finds them, are in `boxes.csv`: x0 y0 x1 y1, px, and a score.

    Args:
        inputs: files, or folders of them.
        model: what predicts.
        out: folder to write below.
        options: mpp, which plain images need, for they do not state it; the rest is for slides.
        progress: how many inputs are done.
        slide_progress: how far a slide is.

    Raises:
        DataError: an input is missing, neither image nor slide, or too large; or its resolution is
            not known. Of several inputs the others are done first.
    """
    files = _input_files(inputs)
    names = [file.stem for file in files]
    if len(set(names)) != len(names):
        raise DataError("two inputs have the same name; predict them into different folders")
    kinds = [_is_slide(file) for file in files]
    if not all(kinds) and options.mpp is None:
        raise DataError(
            f"{files[kinds.index(False)]} is a plain image, which does not state its resolution."
            " Give microns per pixel: --mpp 0.5 (mpp=0.5)."
        )
    if sum(kinds) > 1 and options.mask is not None:
        raise DataError("a mask is of one slide: predict the slides one by one")
    rows, errors = [], list[DataError]()
    for file, is_slide in tracked(list(zip(files, kinds, strict=True)), "predict", progress):
        try:
            if is_slide:
                rows.append(predict_slide(file, model, out, options, progress=slide_progress))
            else:
                assert options.mpp is not None  # or this image was refused above
                rows.append(_predict_file(file, model, out / file.stem, options.mpp))
        except DataError as error:
            errors.append(error)
    if len(errors) == len(files) == 1:
        raise errors[0]
    if errors:
        lines = "\n".join(map(str, errors))
        raise DataError(f"{len(errors)} of {len(files)} inputs failed; the rest is done.\n{lines}")
    return rows


def _is_slide(file: Path) -> bool:
    """Whether a file is read as a slide; one that is damaged is, and fails when its turn comes."""
    from cerberus_bench.slides.reader import is_slide

    try:
        return is_slide(file)
    except DataError:
        return True


def _input_files(inputs: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            files += sorted(
                p for p in path.iterdir() if p.suffix.lower() in (*SUFFIXES, *SLIDE_SUFFIXES)
            )
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} does not exist")
    if not files:
        raise DataError(
            f"no images or slides in {', '.join(map(str, inputs))} (looked for"
            f" {' '.join((*SUFFIXES, *SLIDE_SUFFIXES))})"
        )
    return files


def _predict_file(file: Path, model: Predictor, out: Path, mpp: float) -> dict[str, Any]:
    from cerberus_bench.slides.folder import SlideFolder

    if SlideFolder(out).plan_path.exists():
        raise DataError(f"{out} holds a slide. Give another --out, or remove it.")
    record = _as_record(file, mpp)
    tasks = [task for task in model.label_spaces if task != "tissue" or _is_patch(record)]
    prediction = model.predict(record, tasks)
    summary = _summary(file, record, prediction, model)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _save_maps(prediction, part)
    _save_table(prediction, model, part / "objects.csv")
    _save_boxes(prediction, part / "boxes.csv")
    _save_overlay(record, prediction, part / "overlay.png")
    (part / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    return summary


def _is_patch(record: Record) -> bool:
    height, width = record.image.shape[:2]
    return bool(max(height, width) * record.mpp <= TISSUE_PATCH_UM)


def _as_record(file: Path, mpp: float) -> Record:
    return Record(
        sample_id=file.name,
        dataset="images",
        record=file.stem,
        image=read_image(file),
        mpp=mpp,
        native_mpp=mpp,
        coverage=dict[str, Coverage](),
        group=file.stem,
        group_level="image",
    )


def read_image(file: Path) -> NDArray[np.uint8]:
    """Read an 8-bit RGB image.

    Raises:
        DataError: it is no image, has another mode, or is larger than `MAX_PIXELS`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{file}: {image.width} x {image.height} px; predict parts of it")
            if image.mode not in ("RGB", "RGBA", "P"):
                raise DataError(f"{file}: mode {image.mode}; convert the image to 8-bit RGB")
            pixels = np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file}: not a readable image: {error}") from None
    check_image(pixels, str(file))
    return pixels


def _save_maps(prediction: Prediction, out: Path) -> None:
    from PIL import Image

    for task, instances in prediction.instances.items():
        if len(instances.ids) and instances.ids[-1] > 65_535:
            raise DataError(f"{prediction.sample_id}: more than 65,535 {task}; cut the image up")
        Image.fromarray(instances.labels.astype(np.uint16)).save(out / f"{task}.png")


def _save_table(prediction: Prediction, model: Predictor, path: Path) -> None:
    import pandas as pd

    rows = []
    for task, instances in prediction.instances.items():
        names = ("", *model.label_spaces[task].classes)
        area = np.bincount(instances.labels.ravel(), minlength=1)
        columns = (instances.ids, instances.classes, instances.scores)
        for number, index, score in zip(*(c.tolist() for c in columns), strict=True):
            rows.append((task, number, names[index], round(score, 4), int(area[number])))
    frame = pd.DataFrame(rows, columns=["task", "id", "class", "score", "area_px"])
    frame.to_csv(path, index=False)


def _save_boxes(prediction: Prediction, path: Path) -> None:
    if prediction.boxes is None:
        return
    import pandas as pd

    frame = pd.DataFrame(prediction.boxes.round(2), columns=list(BOX_COLUMNS))
    if prediction.box_scores is not None:
        frame["score"] = prediction.box_scores.round(4)
    frame.to_csv(path, index=False)


def _save_overlay(record: Record, prediction: Prediction, path: Path) -> None:
    from PIL import Image

    from cerberus_bench.pictures import boxes, outline

    image = record.image
    for task, colour in OUTLINES.items():
        if task in prediction.instances:
            image = outline(image, prediction.instances[task].labels, colour)
    if prediction.boxes is not None:
        image = boxes(image, prediction.boxes, BOX_COLOUR)
    Image.fromarray(image).save(path)


def _summary(
    file: Path, record: Record, prediction: Prediction, model: Predictor
) -> dict[str, Any]:
    tissue, boxes = prediction.tissue, prediction.boxes
    objects = {task: len(found.ids) for task, found in prediction.instances.items()}
    classes = model.label_spaces["tissue"].classes if tissue is not None else ()
    return {
        "image": file.name,
        "mpp": record.mpp,
        "size_px": list(record.image.shape[1::-1]),
        "objects": objects if boxes is None else {**objects, SIGNET_RING.name: len(boxes)},
        "tissue": None if tissue is None else classes[int(np.argmax(tissue))],
        "model": model.info.name,
        "inference": inference.model_dump() if (inference := model.info.inference) else None,
    }
