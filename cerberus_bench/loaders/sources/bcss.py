"""BCSS: large regions of breast cancer with a map of their tissue."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.label_files import area_shares
from cerberus_bench.loaders.large_images import decode_large_codes, decode_large_rgb
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)

REGIONS = (
    "outside_roi",
    "tumor",
    "stroma",
    "lymphocytic_infiltrate",
    "necrosis_or_debris",
    "glandular_secretions",
    "blood",
    "exclude",
    "metaplasia_NOS",
    "fat",
    "plasma_cells",
    "other_immune_infiltrate",
    "mucoid_material",
    "normal_acinus_or_duct",
    "lymphatics",
    "undetermined",
    "nerve",
    "skin_adnexa",
    "blood_vessel",
    "angioinvasion",
    "dcis",
    "other",
)
"""Code of a pixel -> region (meta/gtruth_codes.tsv of the source)."""
OUTSIDE = 0

SPEC = DatasetSpec(
    name="bcss",
    version="1.0.0",
    title="BCSS, breast cancer semantic segmentation",
    tasks=(),
    label_maps={},
    mpp=0.25,
    organ="breast",
    licence=Licence("CC0-1.0", Redistribution.YES),
    citation=(
        "Amgad et al., Structured crowdsourcing enables convolutional segmentation of histology"
        " images, Bioinformatics 2019",
    ),
    home="bcsegmentation.grand-challenge.org",
    how_to_get="Download the folders rgbs_colorNormalized and masks from the drive linked at"
    " PathologyDataScience/BCSS, or run its script (folders images and masks).",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("rgbs_colorNormalized"), SourceFile("masks")),
    expected_images={"train": 106, "test": 45},
    notes=(
        "Serves none of the five tasks: a map of 22 kinds of region has no objects, and a patch cut"
        " from it would be labelled by us, not by the source. The share of each region stands in"
        " the attributes (area_tumor ...); the images are of use for prediction, and because NuCLS"
        " and PanopTILs are of the same regions.",
        "Code 0, outside_roi, is no class: it is left out of the valid mask, and of the shares.",
        "The test part is the institutes OL, LL, E2, EW, GM and S3, as in the source.",
        "Images in rgbs_colorNormalized are colour-normalised: attribute stain.",
        "Two regions have more than 89 million pixels, the bound for other images.",
        "The name of a file states its pixel size (MPP-0.2500); that is taken.",
    ),
)

_TEST_INSTITUTES = {"OL", "LL", "E2", "EW", "GM", "S3"}
_FILE = re.compile(
    r"(?:^|/)(?:(rgbs_colorNormalized|images)|masks)/(TCGA-([A-Z0-9]{2})-[^/]+)\.png$", re.I
)
_MPP = re.compile(r"_MPP-([0-9]+\.[0-9]+)")


class BcssReader:
    """Reads `rgbs_colorNormalized/*.png` (or `images/`) with `masks/*.png` of the same name."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have a mask."""
        keyed = {
            name: (match[2], "image" if match[1] else "mask")
            for name, match in tree.match(_FILE).items()
            if "_xmin-" not in match[2]  # tiles of PanopTILs
        }
        return list_images(
            tree,
            self.spec,
            keyed,
            {"image": "image", "mask": "mask"},
            expected="rgbs_colorNormalized/TCGA-*.png with masks/TCGA-*.png",
            describe=_source_image,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its map."""
        pixels, mask = (tree.read(image.files[kind]) for kind in ("image", "mask"))
        name = tree.where(image.files["mask"])
        regions = decode_large_codes(mask, name)
        inside: NDArray[np.bool_] = regions != OUTSIDE
        mpp = _MPP.search(image.record)
        record = native_record(
            self.spec,
            image,
            image=decode_large_rgb(pixels, tree.where(image.files["image"])),
            mpp=float(mpp[1]) if mpp else self.spec.mpp,
            coverage={},
            valid=inside,
            source_sha256=sha256(pixels + mask).hexdigest(),
            attributes={**image.attributes, **area_shares(regions, REGIONS, inside, name)},
        )
        outside = int((~inside).sum())
        return SourceRecord(
            record=record,
            n_objects={},
            notes={"pixels outside the region of interest": outside} if outside else {},
        )


READER = BcssReader()


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    is_normalised = "colornormalized" in files["image"].lower()
    is_test = record.split("-")[1].upper() in _TEST_INSTITUTES
    return source_image(
        SPEC,
        record,
        files,
        official_split="test" if is_test else "train",
        attributes={"stain": "normalised" if is_normalised else "as scanned"},
    )
