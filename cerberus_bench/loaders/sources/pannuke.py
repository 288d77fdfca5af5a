"""PanNuke: nuclei of 19 tissues in five classes, as arrays of one channel a class."""

import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.fold_table import fold_table
from cerberus_bench.loaders.instances import present_ids
from cerberus_bench.loaders.listing import nothing_found
from cerberus_bench.loaders.npy import map_npy
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage, Instances

CLASSES: Mapping[int | str, str] = {
    0: "neoplastic",
    1: "inflammatory",
    2: "connective",
    3: "dead",
    4: "non_neoplastic",
}
"""Channel of masks.npy -> class."""
BACKGROUND = 5
"""The channel after them. The README of the source says 6, which is not there."""
_PAGE = "https://warwick.ac.uk/fac/cross_fac/tia/data/pannuke"
_SHA256 = {
    "fold_1": "6e19ad380300e8ce9480f9ab6a14cc91fa4b6a511609b40e3d70bdf9c881ed0b",
    "fold_2": "5bc540cc509f64b5f5a274d6e5a245527dbd3e6d3155d43555115c5d54709b07",
    "fold_3": "c14d372981c42f611ebc80afad01702b89cad8c1b3089daa31931cf5a4b1a39d",
}
"""As torch-em (torch_em/data/datasets/pannuke.py) and another public downloader have them."""

SPEC = DatasetSpec(
    name="pannuke",
    version="1.0.0",
    title="PanNuke, nuclei of 19 tissues",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", CLASSES)},
    mpp=0.25,
    organ="multiple",
    licence=Licence("CC-BY-NC-SA-4.0", Redistribution.SHARE_ALIKE),
    citation=(
        "Gamper et al., PanNuke: an open pan-cancer histology dataset for nuclei instance"
        " segmentation and classification, European Congress on Digital Pathology 2019",
        "Gamper et al., PanNuke dataset extension, insights and baselines, arXiv 2003.10778",
    ),
    home="warwick.ac.uk",
    how_to_get="`download` fetches fold_1.zip, fold_2.zip and fold_3.zip from the PanNuke page of"
    " the Tissue Image Analytics Centre. Unpack them into another folder and give that one: their"
    " arrays have up to 9 GB and are mapped from disk.",
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    files=tuple(
        SourceFile(f"{fold}.zip", sha256=hash_, urls=(f"{_PAGE}/{fold}.zip",))
        for fold, hash_ in _SHA256.items()
    ),
    expected_images={"fold_1": 2656, "fold_2": 2523, "fold_3": 2722},
    expected_objects={"nuclei": 189_744},
    official_leaks={
        f"fold_{fold}": "tiles of one patient lie in different folds, and near-duplicates across"
        " folds have been reported; neither patients nor slides are published"
        for fold in (1, 2, 3)
    },
    notes=(
        "Without patients no honest fold can be made: the official folds are kept as train,"
        " validation and test (rotation 1-2-3 of the three).",
        "Lizard re-uses 28 colon images of PanNuke and does not say which. So every colon tile"
        " counts as an ancestor of all 28: a model trained on them is marked on that part of"
        " Lizard.",
        "Earlier sets (Kumar, CPM, TNBC) went into the semi-automatic labelling; whether their"
        " pixels are among the tiles is not known.",
        "Arrays are float64: they are mapped, cast a tile at a time, and values that are no whole"
        " numbers refused.",
        "Ids are unique within a channel only, so nuclei are numbered anew, channel by channel;"
        " a pixel of two channels goes to the first, and is counted.",
        "The channel of the background is the sixth (index 5); the README's 6 is a slip. The"
        " reader counts pixels at which it and the nuclei disagree.",
        "Counts (7,901 tiles, 189,744 nuclei) are recalled, not verified; the reader counts.",
    ),
)

_FILE = re.compile(r"(?:^|/)fold[ _]?([123])/(images|types|masks)\.npy$", re.IGNORECASE)
_ROLES = {"fold_1": "train", "fold_2": "validation", "fold_3": "test"}
_SHARED = "pixels of nuclei of two classes, given to the first"
_HIDDEN = "nuclei hidden by those of earlier channels"
_ODD_BACKGROUND = "pixels of which the background channel says otherwise"


class PannukeReader:
    """Reads `foldN/{images,types,masks}.npy` tile by tile; they are never in memory as a whole."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List the tiles of the folds that are complete."""
        keyed = {name: (f"fold_{m[1]}", m[2].lower()) for name, m in tree.match(_FILE).items()}
        if not keyed:
            raise nothing_found(tree, self.spec, "foldN/images.npy with types.npy and masks.npy")
        needed = {kind: f"{kind}.npy" for kind in ("images", "types", "masks")}
        folds = gather(tree, keyed, needed)
        return Listing(
            images=tuple(
                image for fold, files in folds.files.items() for image in _tiles(tree, fold, files)
            ),
            incomplete=folds.incomplete,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Take one tile out of the arrays."""
        row = int(image.attributes["row"])
        rgb = _whole(tree, image.files["images"], row, channels=3, highest=255).astype(np.uint8)
        masks = _whole(tree, image.files["masks"], row, channels=6, highest=65_535)
        channels = masks[..., :BACKGROUND].astype(np.int32)
        nuclei, n_nuclei, n_shared = _collapse(channels)
        notes = {
            _SHARED: n_shared,
            _HIDDEN: n_nuclei - len(nuclei.ids),
            _ODD_BACKGROUND: int(((masks[..., BACKGROUND] > 0) == (nuclei.labels > 0)).sum()),
        }
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            organ=image.attributes["tissue"],
            objective=40.0,
            source_sha256=sha256(rgb.tobytes() + masks.astype(np.uint16).tobytes()).hexdigest(),
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": n_nuclei},
            notes={text: n for text, n in notes.items() if n},
        )


READER = PannukeReader()


def _tiles(tree: SourceTree, fold: str, files: Mapping[str, str]) -> list[SourceImage]:
    arrays = {kind: map_npy(tree, files[kind]) for kind in ("images", "types", "masks")}
    n = {kind: len(array) if array.ndim else 0 for kind, array in arrays.items()}
    if len(set(n.values())) > 1:
        raise DataError(
            f"{tree.root}, {fold}: images.npy holds {n['images']} tiles, types.npy {n['types']},"
            f" masks.npy {n['masks']}. Take the files of one release."
        )
    tissues = [str(tissue) for tissue in arrays["types"]]
    return [_source_image(fold, row, tissue, files) for row, tissue in enumerate(tissues)]


def _source_image(fold: str, row: int, tissue: str, files: Mapping[str, str]) -> SourceImage:
    origin = f"pannuke/{fold}-{row:04}"
    return SourceImage(
        record=f"{fold}-{row:04}",
        group=origin,
        group_level=SPEC.group_level,
        origins=(origin, *(_re_used_by_lizard() if tissue == "Colon" else ())),
        official_split=fold,
        role=_ROLES[fold],
        files=files,
        attributes={"row": str(row), "tissue": tissue},
    )


@cache
def _re_used_by_lizard() -> tuple[str, ...]:
    return tuple(row.origin for row in fold_table() if row.lizard.startswith("pannuke_"))


def _whole(tree: SourceTree, file: str, row: int, *, channels: int, highest: int) -> NDArray[Any]:
    """(H, W, channels) of one tile.

    Raises:
        DataError: another shape, or values that are no whole numbers from 0 to `highest`.
    """
    array = np.array(map_npy(tree, file)[row])
    if array.ndim != 3 or array.shape[2] != channels or array.dtype.kind not in "fui":
        raise DataError(
            f"{tree.where(file)}, row {row}: expected numbers of shape (H, W, {channels}), got"
            f" {array.dtype} of {array.shape}. Take the file that the source distributes."
        )
    in_range = array.size and array.min() >= 0 and array.max() <= highest
    if not in_range or not np.array_equal(array, np.rint(array)):
        raise DataError(
            f"{tree.where(file)}, row {row}: expected whole numbers from 0 to {highest}. The file"
            " is damaged or was changed: obtain it again."
        )
    return array


def _collapse(channels: NDArray[np.int32]) -> tuple[Instances, int, int]:
    """One label map of (H, W, 5) maps; also how many nuclei there are, and pixels of two."""
    labels = np.zeros(channels.shape[:2], np.int32)
    of_id = [0]
    n_shared = 0
    for channel in range(channels.shape[2]):
        stored = channels[..., channel]
        ids = present_ids(stored)
        inside = stored > 0
        free = inside & (labels == 0)
        n_shared += int((inside & ~free).sum())
        labels[free] = np.searchsorted(ids, stored[free]) + len(of_id)
        of_id += [channel + 1] * len(ids)
    present = present_ids(labels)
    return Instances(labels, present, np.array(of_id, np.int64)[present]), len(of_id) - 1, n_shared
