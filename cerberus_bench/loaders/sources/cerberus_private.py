"""The annotations that the published Cerberus network was trained on, for those who have them.

Glands, lumina and tissue patches were never released. The layout is that of the published training
code (TissueImageAnalytics/cerberus: dataset.yml, extract_patches.py).
"""

import csv
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.loaders.class_folders import CLASS_FOLDER, tissue_index
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.masks import decode_brightness
from cerberus_bench.loaders.matlab import label_map, read_matlab
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.sources import lizard
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, Licence, Redistribution
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import IGNORE, LabelMap
from cerberus_bench.schema.record import Coverage, Instances

TISSUE_CLASSES: Mapping[int | str, str] = {
    "background": "background",
    "abnormal_epi": "abnormal_epithelium",
    "normal_epi": "normal_epithelium",
    "inflammatory": "inflammatory_tissue",
    "muscle": "muscle_tissue",
    "stroma": "stroma",
    "debris": "debris",
    "mucous": "mucus",
    "adipose": "adipose",
}

SPEC = DatasetSpec(
    name="cerberus_private",
    version="1.0.0",
    title="Training data of Cerberus: glands, lumina, nuclei and tissue patches (never released)",
    tasks=("nuclei", "gland", "lumen", "tissue"),
    label_maps={
        "nuclei": LabelMap("nuclei", {0: IGNORE, **lizard.CLASSES}),
        "gland": LabelMap("gland", {0: IGNORE, 1: "gland", 2: "surface_epithelium"}),
        "lumen": LabelMap("lumen", {1: "lumen"}),
        "tissue": LabelMap("tissue", TISSUE_CLASSES),
    },
    mpp=0.5,
    organ="colon",
    licence=Licence(
        "LicenseRef-Cerberus-unreleased", Redistribution.NO, "the annotations were never released"
    ),
    citation=(
        "Graham et al., One model is all you need: multi-task learning enables simultaneous"
        " histology image segmentation and classification, Medical Image Analysis 2022",
    ),
    home="github.com",
    how_to_get="It cannot be obtained: the authors released weights and results, and of the"
    " annotations only the nuclei, as Lizard. There is no public ground truth for lumina. If you"
    " have the folders Gland_Lumen (or Gland and Lumen), Nuclei and Tissue-Type of their training"
    " code, give the folder that holds them.",
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    is_released=False,
    notes=(
        "How many images, glands, lumina and patches there are is not known.",
        "A Tissue mask marks what was annotated: where it is not white all over, coverage is"
        " partial. Lumina share the mask of the glands.",
        "Glands have class 1 gland or 2 surface epithelium; class 0 is no label.",
        "Images that are called as in Lizard (glas_1, crag_2 ...) share groups and folds with it.",
        "Splits 1 to 3 of info_*.csv are official folds, 4 the external test set, 0 neither.",
        "Layout and names rest on published code, not on data.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(Gland_Lumen|Gland|Lumen|Nuclei)"
    r"/(Images|Labels|Labels_Gland|Labels_Lumen|Tissue)/([^/]+)\.(?:png|mat)$"
)
_PATCH = re.compile(r"(?:^|/)Tissue-Type/(?:([^/]+)/)?([^/]+)\.png$")
_INFO = re.compile(r"(?:^|/)info_(gland|lumen|nuclei|tissue-type)\.csv$")
_FAMILIES = {"Gland_Lumen": "gland", "Gland": "gland", "Lumen": "gland", "Nuclei": "nuclei"}
_KINDS = {
    ("Gland", "Labels"): "gland",
    ("Lumen", "Labels"): "lumen",
    ("Nuclei", "Labels"): "nuclei",
    ("Gland_Lumen", "Labels_Gland"): "gland",
    ("Gland_Lumen", "Labels_Lumen"): "lumen",
}
_INFO_OF = {"gland": ("gland", "lumen"), "nuclei": ("nuclei",), "tissue": ("tissue-type",)}
_EXTERNAL = 4


class CerberusPrivateReader:
    """Reads the layout of the published training code."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images with glands and lumina, images with nuclei, and tissue patches."""
        regions, patches = tree.match(_FILE), tree.match(_PATCH)
        if not regions and not patches:
            raise DataError(
                f"{tree.root} holds no Gland_Lumen/Images/*.png, Nuclei/Images/*.png or"
                f" Tissue-Type/*/*.png. {self.spec.how_to_get}"
            )
        splits = _splits(tree)
        images, incomplete = _regions(tree, regions, splits)
        unique_by_key(tree, ((f"the patch {match[2]}", name) for name, match in patches.items()))
        for name, match in patches.items():
            if match[1] is None:
                incomplete.append(f"{match[2]} lies in no folder that names its tissue class")
            else:
                images.append(_patch(name, match[1], match[2], splits))
        return Listing(images=tuple(images), incomplete=tuple(incomplete))

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and all that is annotated on it."""
        data = {kind: tree.read(name) for kind, name in sorted(image.files.items())}
        rgb = decode_rgb(data["image"], tree.where(image.files["image"]))
        found: dict[str, Instances] = {}
        notes: dict[str, int] = {}
        for task in ("gland", "lumen", "nuclei"):
            if task in data:
                found[task], odd = self._objects(task, data[task], tree.where(image.files[task]))
                notes |= {f"{task}: {text}": n for text, n in odd.items()}
        valid = None
        if "mask" in data:
            valid = _annotated(data["mask"], tree.where(image.files["mask"]))
        code = image.attributes.get(CLASS_FOLDER)
        tissue = tissue_index(self.spec.label_maps["tissue"], code) if code else None
        tasks = [*found, *(["tissue"] if code else [])]
        coverage = Coverage.FULL if valid is None else Coverage.PARTIAL
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage=dict.fromkeys(tasks, coverage),
            instances=found,
            tissue=tissue,
            valid=valid,
            source_sha256=sha256(b"".join(data.values())).hexdigest(),
        )
        counts = {task: len(objects.ids) for task, objects in found.items()}
        return SourceRecord(
            record=record, n_objects=counts | ({"tissue": 1} if code else {}), notes=notes
        )

    def _objects(self, task: str, matrix: bytes, name: str) -> tuple[Instances, dict[str, int]]:
        if task != "lumen":
            return lizard.read_instances(matrix, name, self.spec.label_maps[task])
        labels = label_map(read_matlab(matrix, name, ("inst_map",)), "inst_map", name)
        return from_label_map(labels, np.ones_like), {}


READER = CerberusPrivateReader()


def _regions(
    tree: SourceTree,
    matches: Mapping[str, re.Match[str]],
    splits: Mapping[str, Mapping[str, int]],
) -> tuple[list[SourceImage], list[str]]:
    """Images with objects, and a sentence for each that lacks something."""
    have_image = {
        match[3] for match in matches.values() if match[1] == "Gland" and match[2] == "Images"
    }
    keyed = {}
    for name, match in matches.items():
        folder, kind, stem = match.groups()
        if folder == "Lumen" and kind in {"Images", "Tissue"} and stem in have_image:
            continue  # lumina are annotated on the images of the glands
        plain = {"Images": "image", "Tissue": "mask"}
        keyed[name] = (
            f"{_FAMILIES[folder]}_{stem}",
            plain.get(kind) or _KINDS.get((folder, kind), kind),
        )
    found = gather(tree, keyed, {"image": "image"})
    images, incomplete = [], list(found.incomplete)
    for record, files in found.files.items():
        if {"gland", "lumen", "nuclei"}.isdisjoint(files):
            incomplete.append(f"{record} has no labels")
        else:
            images.append(_source_image(record, files, splits))
    return images, incomplete


def _patch(
    name: str, folder: str, stem: str, splits: Mapping[str, Mapping[str, int]]
) -> SourceImage:
    code = re.sub("[ -]", "_", folder.lower())
    if code not in TISSUE_CLASSES:
        raise DataError(
            f"Tissue-Type/{folder} is none of the tissue classes"
            f" {', '.join(map(str, TISSUE_CLASSES))}. Rename the folder."
        )
    return _source_image(f"tissue_{stem}", {"image": name}, splits, {CLASS_FOLDER: code})


def _source_image(
    record: str,
    files: Mapping[str, str],
    splits: Mapping[str, Mapping[str, int]],
    attributes: Mapping[str, str] | None = None,
) -> SourceImage:
    family, _, stem = record.partition("_")
    ancestor = lizard.ancestors().get(stem)
    name = f"{SPEC.name}/{record}"
    stated = (splits[kind].get(stem) for kind in _INFO_OF[family] if kind in splits)
    split = next((s for s in stated if s), None)
    official = "external" if split == _EXTERNAL else f"fold_{split}"
    return SourceImage(
        record=record,
        group=ancestor.group if ancestor else name,
        group_level=ancestor.group_level if ancestor else SPEC.group_level,
        origins=(ancestor.origin if ancestor else name,),
        official_split=official if split else None,
        files=files,
        attributes=attributes or {},
    )


def _splits(tree: SourceTree) -> dict[str, dict[str, int]]:
    """Kind of annotation -> image -> split, from the info_*.csv that are there."""
    splits = {}
    for name, match in tree.match(_INFO).items():
        rows = csv.DictReader(tree.read(name).decode("utf-8-sig", "replace").splitlines())
        try:
            splits[match[1]] = {PurePosixPath(r["Filename"]).stem: int(r["Split"]) for r in rows}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{tree.where(name)}: {error}; expected the columns Filename and Split"
            ) from None
    return splits


def _annotated(mask: bytes, name: str) -> NDArray[np.bool_] | None:
    """Where a Tissue mask is not black; None where it is black nowhere."""
    white: NDArray[np.bool_] = decode_brightness(mask, name) > 0
    return None if white.all() else white
