"""DigestPath 2019, signet ring cells: boxes on images of gastric mucosa and intestine."""

import re
from collections import Counter
from hashlib import sha256
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.markup import parse_xml
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.sources.digestpath import CITATION, HOME, LICENCE, list_parts
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, SourceFile
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="digestpath_signet",
    version="1.0.0",
    title="DigestPath 2019, signet ring cell detection (training set)",
    tasks=("signet_ring",),
    label_maps={"signet_ring": LabelMap("signet_ring", {"ring_cell_cancer": "signet_ring_cell"})},
    mpp=0.25,
    organ="stomach and colon",
    licence=LICENCE,
    citation=CITATION,
    home=HOME,
    how_to_get="Sign the database use agreement on the challenge's page and unpack"
    " Signet_ring_cell_dataset, with its folders sig-train-pos and sig-train-neg.",
    group_level="slide",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("Signet_ring_cell_dataset.zip"),),
    expected_images={"positive": 77, "negative": 378},
    expected_objects={"signet_ring": 9710},
    notes=(
        "On positive images not every ring cell is boxed: their coverage is partial, a detection"
        " outside the boxes is no error. Negative images hold none: their coverage is full.",
        "Boxes are Pascal VOC (xmin, ymin, xmax, ymax in px), clipped to the image; those without"
        " area and objects of another name are left out and counted.",
        "40 x; 0.25 microns per pixel is nominal.",
        "The counts (77 images of 20 patients, 378 of 79, about 9,710 boxes) are recalled, not"
        " verified; the reader counts. The test set was never released.",
    ),
)

_FILE = re.compile(r"(?:^|/)sig-train-(pos|neg)/([^/]+)\.(jpe?g|xml)$", re.IGNORECASE)
_NEEDED = {"positive": {"image": ".jpeg", "boxes": ".xml"}, "negative": {"image": ".jpeg"}}
_WHAT = "Pascal VOC annotation"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class DigestPathSignetReader:
    """Reads `sig-train-{pos,neg}/*.jpeg` with a `.xml` beside each positive image."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List negative images, and positive ones that have boxes."""
        keyed = {
            name: (match[1].lower(), match[2], "boxes" if match[3].lower() == "xml" else "image")
            for name, match in tree.match(_FILE).items()
        }
        if not keyed:
            raise DataError(
                f"{tree.root} holds no sig-train-pos/*.jpeg and sig-train-neg/*.jpeg."
                f" {self.spec.how_to_get}"
            )
        return list_parts(tree, keyed, _NEEDED)

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its boxes."""
        pixels = tree.read(image.files["image"])
        document = tree.read(image.files["boxes"]) if "boxes" in image.files else b""
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        boxes, n_cells = np.zeros((0, 4), np.float32), 0
        notes: dict[str, int] = {}
        if document:
            name = tree.where(image.files["boxes"])
            boxes, n_cells, notes = _boxes(parse_xml(document, name, _WHAT), rgb.shape[:2], name)
        is_complete = image.official_split == "negative" and not n_cells
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={"signet_ring": Coverage.FULL if is_complete else Coverage.PARTIAL},
            signet_ring=boxes,
            objective=40.0,
            source_sha256=sha256(pixels + document).hexdigest(),
        )
        return SourceRecord(record=record, n_objects={"signet_ring": n_cells}, notes=notes)


READER = DigestPathSignetReader()


def _boxes(
    root: Element, shape: tuple[int, ...], name: str
) -> tuple[NDArray[np.float32], int, dict[str, int]]:
    """(n, 4) boxes of ring cells inside the image, how many the file holds, and what is odd."""
    _check_size(root, shape, name)
    notes: Counter[str] = Counter()
    kept = []
    n_cells = 0
    for entry in root.iter("object"):
        label = (entry.findtext("name") or "").strip()
        if label not in SPEC.label_maps["signet_ring"].nodes:
            notes[f"objects called {label!r}, left out"] += 1
            continue
        n_cells += 1
        stored = _corners(entry, name)
        # the pixels of the image reach from -0.5 to its side less 0.5
        clipped = np.clip(stored, -0.5, np.tile(shape[1::-1], 2) - 0.5)
        if (clipped[2:] <= clipped[:2]).any():
            notes["boxes without an area in the image, left out"] += 1
            continue
        notes["boxes cut at the border of the image"] += int((clipped != stored).any())
        kept.append(clipped)
    boxes = np.array(kept, np.float32).reshape(-1, 4)
    return boxes, n_cells, {text: n for text, n in notes.items() if n}


def _corners(entry: Element, name: str) -> NDArray[np.float64]:
    box = entry.find("bndbox")
    try:
        if box is None:
            raise ValueError("an object has no bndbox")
        corners = np.array([float(box.findtext(corner, "")) for corner in _CORNERS])
        if not np.isfinite(corners).all():
            raise ValueError(f"a box has the corners {corners.tolist()}")
    except ValueError as error:
        raise DataError(f"{name}: {error}; expected {', '.join(_CORNERS)}") from None
    return corners


def _check_size(root: Element, shape: tuple[int, ...], name: str) -> None:
    stated = [root.findtext(f"size/{side}") for side in ("height", "width")]
    actual = [str(side) for side in shape]
    if None not in stated and stated != actual:
        raise DataError(
            f"{name} is for an image of {' x '.join(map(str, stated))} px, the one beside it has"
            f" {' x '.join(actual)}. Take both from the source."
        )
