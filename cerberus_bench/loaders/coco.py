"""COCO json of instances: outlines and run lengths of the objects of many images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.outlines import Outline, covered
from cerberus_bench.loaders.per_tree import PerTree
from cerberus_bench.loaders.polygons import Rasterised, leaves, rasterise
from cerberus_bench.schema.errors import DataError

MAX_COCO_BYTES = 1 << 28


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class RunLengths(_Part):
    """A mask column by column: pixels outside, inside, outside ..., as numbers or packed text."""

    size: tuple[int, int]
    counts: list[int] | str


class Annotation(_Part):
    """One object."""

    id: int | str | None = None
    image_id: int | str
    category_id: int | str
    segmentation: list[list[FiniteFloat]] | RunLengths | None = None
    iscrowd: int = 0


class _Image(_Part):
    id: int | str
    file_name: str
    height: int | None = None
    width: int | None = None


class _Category(_Part):
    id: int | str
    name: str


class _File(_Part):
    images: list[_Image]
    annotations: list[Annotation]
    categories: list[_Category]


@dataclass(frozen=True, slots=True)
class CocoImage:
    """What a file says of one image."""

    shape: tuple[int | None, int | None]
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """A file by the names of its images."""

    images: Mapping[str, CocoImage]
    """Name of the image file, without its folders -> what is drawn on it."""
    categories: Mapping[int | str, str]


def parse_coco(data: bytes, name: str) -> CocoFile:
    """A COCO file, checked.

    Raises:
        DataError: it is no COCO json, or names an image twice.
    """
    try:
        content = _File.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise DataError(
            f"{name} is no COCO json of instances ({place}: {first['msg']}). Export it again."
        ) from None
    drawn: dict[int | str, list[Annotation]] = {image.id: [] for image in content.images}
    for annotation in content.annotations:
        if annotation.image_id not in drawn:
            raise DataError(
                f"{name}: annotation {annotation.id} is of image {annotation.image_id}, which the"
                " file does not list. Export it again."
            )
        drawn[annotation.image_id].append(annotation)
    images: dict[str, CocoImage] = {}
    for image in content.images:
        key = PurePosixPath(image.file_name.replace("\\", "/")).name
        if key in images:
            raise DataError(f"{name} lists {key} twice. Give each image a name of its own.")
        images[key] = CocoImage((image.height, image.width), tuple(drawn[image.id]))
    return CocoFile(images, {category.id: category.name for category in content.categories})


def _read(tree: SourceTree, name: str) -> CocoFile:
    return parse_coco(tree.read(name, MAX_COCO_BYTES), tree.where(name))


coco_file = PerTree(_read)
"""`coco_file(tree, name)`: the parsed file, read once for each tree."""


def paint_coco(image: CocoImage, shape: tuple[int, int], name: str) -> Rasterised:
    """The objects of an image under the rule of `rasterise`: the n-th has id n, the first keeps.

    The parts of an object are joined; run lengths are taken pixel by pixel.

    Raises:
        DataError: the image has another size in the file, or an annotation has no outline, is a
            crowd, or has run lengths that do not fit the image.
    """
    stated = (image.shape[0] or shape[0], image.shape[1] or shape[1])
    if stated != shape:
        raise DataError(
            f"{name}: an image of {stated[1]} x {stated[0]} px is {shape[1]} x {shape[0]} px on"
            " disk. Export the annotations of this very image."
        )
    shapes = [_outlines(annotation, name) for annotation in image.annotations]
    if all(isinstance(rings, list) and len(rings) == 1 for rings in shapes):
        return rasterise((rings[0] for rings in shapes if isinstance(rings, list)), shape)
    return _paint_masks(shapes, shape, name)


def _outlines(annotation: Annotation, name: str) -> list[Outline] | RunLengths:
    which = f"{name}: annotation {annotation.id}"
    if annotation.iscrowd:
        raise DataError(f"{which} is a crowd (iscrowd 1), which is no object. Remove it.")
    if not annotation.segmentation:
        raise DataError(f"{which} has no outline, at most a box. Export polygons or masks.")
    if isinstance(annotation.segmentation, RunLengths):
        return annotation.segmentation
    if any(len(ring) % 2 for ring in annotation.segmentation):
        raise DataError(f"{which} has an odd number of coordinates. Export it again.")
    return [np.array(ring, np.float64).reshape(-1, 2) for ring in annotation.segmentation]


def _paint_masks(
    shapes: Sequence[list[Outline] | RunLengths], shape: tuple[int, int], name: str
) -> Rasterised:
    labels = np.zeros(shape, np.int32)
    n_skipped = n_clipped = n_hidden = 0
    for number, drawn in enumerate(shapes, 1):
        if isinstance(drawn, RunLengths):
            mask = decode_run_lengths(drawn, shape, name)
        else:
            rings = [ring for ring in drawn if len(ring) >= 3]
            if not rings:
                n_skipped += 1
                continue
            n_clipped += any(leaves(ring, shape) for ring in rings)
            mask = covered(rings, shape)
        free = mask & (labels == 0)
        labels[free] = number
        n_hidden += not free.any()
    return Rasterised(labels, n_skipped, n_clipped, n_hidden)


def decode_run_lengths(runs: RunLengths, shape: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """(H, W) mask of run lengths.

    Raises:
        DataError: they are of another size, or do not add up to it.
    """
    try:
        counts = unpack_counts(runs.counts) if isinstance(runs.counts, str) else runs.counts
    except ValueError as error:
        raise DataError(f"{name}: run lengths cannot be read ({error}). Export it again.") from None
    n_pixels = shape[0] * shape[1]
    if runs.size != shape or any(n < 0 for n in counts) or sum(counts) != n_pixels:
        raise DataError(
            f"{name}: run lengths of size {runs.size} with {sum(counts)} pixels do not fit an"
            f" image of {shape}. Export it again."
        )
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(shape, order="F")


def unpack_counts(text: str) -> list[int]:
    """Run lengths from the packed text of COCO: 5 bits a character, the third count on as changes.

    Source: cocodataset/cocoapi, format of rleToString; the text starts at character 48.

    Raises:
        ValueError: a character is none of the format, or the last number is cut off.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"{character!r} at the wrong place")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the last number is cut off")
    return counts
