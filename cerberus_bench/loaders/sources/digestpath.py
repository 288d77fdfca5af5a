"""What the two parts of DigestPath 2019 share: licence, citation, and how images are named."""

import re
from collections.abc import Mapping

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.reader import Listing, SourceImage
from cerberus_bench.schema.dataset import Licence, Redistribution

LICENCE = Licence(
    "LicenseRef-DigestPath-agreement",
    Redistribution.NO,
    "research only under the database use agreement of the challenge; no redistribution",
)
CITATION = (
    "Da et al., DigestPath: a benchmark dataset with challenge review for the pathological"
    " detection and segmentation of digestive-system, Medical Image Analysis 2022",
)
HOME = "digestpath2019.grand-challenge.org"
PARTS = {"pos": "positive", "neg": "negative"}
"""Ending of a folder name -> official part."""

_SLIDE = re.compile(r"(.+?)-lv[0-9]+-")


def list_parts(
    tree: SourceTree,
    keyed: Mapping[str, tuple[str, str, str]],
    needed: Mapping[str, Mapping[str, str]],
) -> Listing:
    """List the images of both parts, positive ones first.

    Args:
        tree: where the files are.
        keyed: file -> (ending of its folder, image, kind of file).
        needed: part -> kinds that its images must have -> what to call a missing one.

    Raises:
        DataError: two files are of the same kind and image.
    """
    images: list[SourceImage] = []
    incomplete: list[str] = []
    for ending, part in PARTS.items():
        of_part = {name: key[1:] for name, key in keyed.items() if key[0] == ending}
        found = gather(tree, of_part, needed[part])
        images += [source_image(record, part, files) for record, files in found.files.items()]
        incomplete += found.incomplete
    return Listing(images=tuple(images), incomplete=tuple(incomplete))


def source_image(record: str, part: str, files: Mapping[str, str]) -> SourceImage:
    """An image called `<slide>-lv<level>-<x>-<y>-<w>-<h>`.

    The slide is its group, under the name that Lizard's `info.csv` gives it, so that Lizard's
    crops of the same slide and both parts of DigestPath meet. An image of another name is a group
    of its own.
    """
    slide = _SLIDE.match(record)
    return SourceImage(
        record=record,
        group=f"digestpath/{slide[1] if slide else record}",
        group_level="slide" if slide else "image",
        origins=(f"digestpath/{record}",),
        official_split=part,
        files=files,
    )
