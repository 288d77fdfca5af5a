"""MIDOG++: mitotic figures, and cells that look like them, in seven tumours of man and dog."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.label_files import tiff_mpp
from cerberus_bench.loaders.listing import nothing_found, source_image
from cerberus_bench.loaders.outlines import box_outline, covered
from cerberus_bench.loaders.per_tree import PerTree
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.text_files import parse_json
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import IGNORE, LabelMap
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="midogpp",
    version="1.0.0",
    title="MIDOG++, mitotic figures in seven tumour types",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {1: "mitotic", 2: IGNORE})},
    mpp=0.25,
    organ="multiple",
    licence=Licence("CC0-1.0", Redistribution.YES),
    citation=(
        "Aubreville et al., A comprehensive multi-domain dataset for mitotic figure detection,"
        " Scientific Data 2023",
    ),
    home="figshare.com",
    how_to_get="Run Setup.ipynb of DeepMicroscopy/MIDOGpp (65 GB) and put its images and"
    " databases/MIDOG++.json into one folder.",
    group_level="slide",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("MIDOG++.json"),),
    expected_images={"all": 503},
    expected_objects={"nuclei": 26_286},
    notes=(
        "Only mitotic figures (11,937) and cells that were mistaken for them (14,349, without a"
        " class here) are marked, no other nuclei: coverage is partial, and only the boxes of 50 px"
        " around them are valid. So a detection elsewhere is no error here, other than in the"
        " protocol of the challenge.",
        "A box of the .json is x0, y0, x1, y1, not x, y, width, height as in COCO; boxes of another"
        " size are counted. The point is the centre of its box.",
        "The .json lists 553 images; 151 to 200 were never annotated and are left out.",
        "One region of a specimen each. Tumour and species follow from the number of the image; a"
        " table of the source calls the canine sarcomas human, which is a slip.",
        "The pixel size is that of the TIFF tags, 0.25 microns where they say nothing (attribute"
        " mpp_source): four scanners were used.",
        "No colon epithelium; five of the tumour types are no carcinomas.",
    ),
)

_TUMOURS = (
    (150, "breast carcinoma", "human"),
    (200, "never annotated", "human"),
    (244, "lung carcinoma", "canine"),
    (299, "lymphoma", "canine"),
    (349, "cutaneous mast cell tumour", "canine"),
    (404, "neuroendocrine tumour", "human"),
    (504, "soft tissue sarcoma", "canine"),
    (553, "melanoma", "human"),
)
"""Last image number, tumour, species (datasets_xvalidation.csv of the source)."""
_UNLABELLED = range(151, 201)
_IMAGE = re.compile(r"(?:^|/)([0-9]{3})\.tiff?$", re.IGNORECASE)
_TABLE = re.compile(r"(?:^|/)MIDOG[^/]*\.json$", re.IGNORECASE)
_SIDE = 50
_ODD_BOX = f"boxes that are not {_SIDE} x {_SIDE} px"


class MidogppReader:
    """Reads `NNN.tiff` with the annotations of `MIDOG++.json`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images of which the .json speaks, without those never annotated."""
        found = unique_by_key(tree, ((m[1], name) for name, m in tree.match(_IMAGE).items()))
        tables = list(tree.match(_TABLE))
        if not found or not tables:
            raise nothing_found(tree, self.spec, "NNN.tiff with MIDOG++.json")
        if len(tables) > 1:
            raise DataError(
                f"{tree.root} holds {len(tables)} files MIDOG*.json; one is needed. Keep that of"
                " MIDOG++."
            )
        annotated = _annotations(tree, tables[0])
        wanted = {r: file for r, file in found.items() if int(r) not in _UNLABELLED}
        return Listing(
            images=tuple(
                _source_image(record, {"image": file, "boxes": tables[0]})
                for record, file in sorted(wanted.items())
                if record in annotated
            ),
            incomplete=tuple(
                f"{record} is not in the .json" for record in sorted(wanted.keys() - annotated)
            ),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its points."""
        pixels = tree.read(image.files["image"])
        where = tree.where(image.files["image"])
        rgb = decode_rgb(pixels, where)
        entry = _annotations(tree, image.files["boxes"])[image.record]
        if (entry.height, entry.width) != rgb.shape[:2]:
            raise DataError(
                f"{where} is {rgb.shape[:2]}, {tree.where(image.files['boxes'])} says"
                f" {(entry.height, entry.width)}. Take both from the source."
            )
        boxes = entry.boxes
        n_odd = int((np.abs(boxes[:, 2:] - boxes[:, :2] - _SIDE) > 1).any(axis=1).sum())
        mpp = tiff_mpp(pixels)
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp or self.spec.mpp,
            coverage={"nuclei": Coverage.PARTIAL},
            points=((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.float32),
            point_classes=entry.classes,
            valid=covered([box_outline(*box) for box in boxes.tolist()], rgb.shape[:2]),
            objective=40.0,
            source_sha256=sha256(pixels + boxes.tobytes() + entry.classes.tobytes()).hexdigest(),
            attributes={**image.attributes, "mpp_source": "file" if mpp else "spec"},
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": len(boxes)},
            notes={_ODD_BOX: n_odd} if n_odd else {},
        )


READER = MidogppReader()


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the .json says of an image."""

    height: int
    width: int
    boxes: NDArray[np.float64]
    """(n, 4) x0 y0 x1 y1, px."""
    classes: NDArray[np.int64]


def _read_annotations(tree: SourceTree, file: str) -> dict[str, _Entry]:
    """Image number, three digits -> its entry."""
    name = tree.where(file)
    content = parse_json(tree.read(file), name)
    of_code = SPEC.label_maps["nuclei"]
    try:
        boxes: dict[int, list[tuple[list[float], int]]] = defaultdict(list)
        for found in content["annotations"]:
            box, code = [float(side) for side in found["bbox"]], of_code.index(found["category_id"])
            boxes[found["image_id"]].append((box, code))
        return {
            str(image["file_name"])[:3]: _Entry(
                int(image["height"]),
                int(image["width"]),
                np.array([box for box, _ in boxes[image["id"]]], np.float64).reshape(-1, 4),
                np.array([code for _, code in boxes[image["id"]]], np.int64),
            )
            for image in content["images"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{name}: expected images, and annotations with bbox and category_id 1 or 2"
            f" ({error!r}). Take the file that the source distributes."
        ) from None


_annotations = PerTree(_read_annotations)


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    tumour, species = next(t[1:] for t in _TUMOURS if int(record) <= t[0])
    known = {"tumour": tumour, "species": species}
    return source_image(SPEC, record, files, group_level=SPEC.group_level, attributes=known)
