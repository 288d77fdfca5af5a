"""Sources of tissue patches: one folder a class, one image a patch.

The class is taken from the name of the folder, never from an order: libraries disagree on it.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.splits import VALIDATION_SHARE
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage

CLASS_FOLDER = "class"
"""Attribute of a patch: the folder that it lies in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchReader:
    """Reads `<folder>/<class>/<patch>.tif`, one patch at a time."""

    spec: DatasetSpec
    folder: str | None
    """Name of the folder (or of the zip, or of the source itself) right above the class folders;
    None where the class folders cannot be mistaken for those of another source."""
    class_counts: Mapping[str, int]
    """Class folder -> patches in the complete source; empty where that is not known."""
    side: int
    """Height and width that a patch should have, px."""
    describe: Callable[[str, str, str], SourceImage]
    """(patch, class folder, file) -> what is known about the patch."""

    def find(self, tree: SourceTree) -> Listing:
        """List the patches; says which class folders hold less than the complete source."""
        pattern = self._pattern()
        matches = {name: pattern.search(f"{_root_name(tree)}/{name}") for name in tree.names}
        found = {name: (match[2], match[1]) for name, match in matches.items() if match}
        if not found:
            below = f"{self.folder}/" if self.folder else ""
            raise DataError(
                f"{tree.root} holds no {below}{next(iter(self._codes))}/*.tif. Give the zip or the"
                f" folder under the name that the source gives it. {self.spec.how_to_get}"
            )
        unique_by_key(tree, ((f"{code}/{patch}", name) for name, (patch, code) in found.items()))
        images = (self.describe(patch, code, name) for name, (patch, code) in found.items())
        return Listing(
            images=tuple(sorted(images, key=lambda image: image.record)),
            incomplete=short_classes(
                Counter(code for _, code in found.values()), self.class_counts
            ),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one patch. One whose class has no counterpart in the ontology has no label."""
        data = tree.read(image.files["image"])
        pixels = decode_rgb(data, tree.where(image.files["image"]))
        tissue = tissue_index(self.spec.label_maps["tissue"], image.attributes[CLASS_FOLDER])
        record = native_record(
            self.spec,
            image,
            image=pixels,
            coverage={} if tissue is None else {"tissue": Coverage.FULL},
            tissue=tissue,
            source_sha256=sha256(data).hexdigest(),
        )
        is_odd = pixels.shape[:2] != (self.side, self.side)
        return SourceRecord(
            record=record,
            n_objects={"tissue": 1},
            notes={f"patches that are not {self.side} x {self.side} px": 1} if is_odd else {},
        )

    @property
    def _codes(self) -> Mapping[int | str, str]:
        return self.spec.label_maps["tissue"].nodes

    def _pattern(self) -> re.Pattern[str]:
        below = rf"(?:^|/){re.escape(self.folder)}(?:\.zip)?/" if self.folder else "(?:^|/)"
        codes = "|".join(re.escape(str(code)) for code in self._codes)
        return re.compile(rf"{below}({codes})/([^/]+)\.tiff?$")


def tissue_index(label_map: LabelMap, code: str) -> int | None:
    """Zero-based index of a class folder in the label space; None where it is ignored."""
    return label_map.index(code) - 1 if label_map.index(code) else None


def short_classes(found: Mapping[str, int], expected: Mapping[str, int]) -> tuple[str, ...]:
    """A sentence for each class of which there is less than in the complete source."""
    return tuple(
        f"{code} holds {found.get(code, 0)} of {n} images"
        for code, n in expected.items()
        if found.get(code, 0) < n
    )


def hashed_role(record: str) -> str:
    """Role train or, for one patch in seven, validation, by a stable hash of the name alone.

    The same patch in two forms of a dataset gets the same role in both.
    """
    digest = sha256(f"role:{record}".encode()).digest()
    is_validation = int.from_bytes(digest[:8], "big") % VALIDATION_SHARE == 0
    return "validation" if is_validation else "train"


def _root_name(tree: SourceTree) -> str:
    """Name of the folder or zip that was given, so that it may be the named folder itself."""
    return PurePosixPath(tree.root.absolute().as_posix()).name
