"""Objects of a user's folder: label maps of pixels, GeoJSON or COCO, and the class of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.coco import coco_file, paint_coco
from cerberus_bench.loaders.folder_description import ANY_OBJECT, FILE_NAME, Objects
from cerberus_bench.loaders.geojson import outline_of, parse_features, property_of
from cerberus_bench.loaders.images import open_single_page
from cerberus_bench.loaders.instances import as_ids, from_label_map, present_ids
from cerberus_bench.loaders.label_files import label_parts
from cerberus_bench.loaders.npy import read_npy
from cerberus_bench.loaders.outlines import painting_notes
from cerberus_bench.loaders.polygons import Rasterised, rasterise
from cerberus_bench.loaders.text_files import parse_csv
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import MAX_INSTANCES, Instances

MAX_TEXT_BYTES = 1 << 28
"""Text takes many times its size once it is parsed."""
_NUMBERS = {"1", "L", "P", "I", "I;16", "I;16B", "F"}
"""Modes of pictures whose pixels are one number each."""


@dataclass(frozen=True, slots=True)
class FoundObjects:
    """The objects of a task on one image."""

    instances: Instances
    n: int
    """Objects in the file, those that were skipped included."""
    notes: Mapping[str, int]
    sha256: str
    """Of what was read."""


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Reads the objects of one task."""

    task: str
    how: Objects
    label_map: LabelMap

    def read(
        self,
        tree: SourceTree,
        labels: str,
        classes: str | None,
        image: str,
        shape: tuple[int, int],
    ) -> FoundObjects:
        """The objects of one image.

        Args:
            tree: the folder.
            labels: file of the objects.
            classes: file of their classes, where the description names one.
            image: name of the image file, by which COCO knows it.
            shape: (H, W) of the image.

        Raises:
            DataError: a file is damaged, of another size, or holds a class that is not mapped.
        """
        suffix = PurePosixPath(labels).suffix.lower()
        if suffix == ".json":
            return self._read_coco(tree, labels, image, shape)
        where = tree.where(labels)
        if suffix == ".geojson":
            return self._read_geojson(tree.read(labels, MAX_TEXT_BYTES), where, shape)
        data = tree.read(labels)
        stored = decode_map(data, where)
        if stored.shape != shape:
            raise DataError(
                f"{where} is {stored.shape[1]} x {stored.shape[0]} px, its image {shape[1]} x"
                f" {shape[0]} px. Both must have one size: write it again."
            )
        if self.how.values == "classes":
            found = self._parts(stored, where)
            return FoundObjects(found, len(found.ids), {}, sha256(data).hexdigest())
        table = tree.read(classes, MAX_TEXT_BYTES) if classes else b""
        codes_of = self._codes_of(stored, table, tree.where(classes) if classes else "")
        found = from_label_map(stored, lambda ids: self._indices(codes_of(ids), where))
        return FoundObjects(found, len(found.ids), {}, sha256(data + table).hexdigest())

    def index(self, code: str, where: str) -> int:
        """One-based class index of a class in the folder.

        Raises:
            DataError: the description does not map it.
        """
        try:
            return self.label_map.index(code)
        except KeyError:
            known = ", ".join(map(str, self.label_map.nodes))
            raise DataError(
                f"{where}: class {code!r} is not among tasks.{self.task}.classes of {FILE_NAME}"
                f' ({known}). Add it there: a class of the ontology, or "ignore".'
            ) from None

    def _indices(self, codes: list[str], where: str) -> NDArray[np.int64]:
        return np.array([self.index(code, where) for code in codes], np.int64)

    def _codes_of(
        self, labels: NDArray[np.int32], data: bytes, where: str
    ) -> Callable[[NDArray[np.int64]], list[str]]:
        """What gives the class of each id."""
        if self.how.class_files is None:
            return lambda ids: [ANY_OBJECT] * len(ids)
        if self.how.class_files.lower().endswith(".csv"):
            table = _class_table(data, where)
        else:
            table = _class_map(labels, decode_map(data, where), where)

        def codes_of(ids: NDArray[np.int64]) -> list[str]:
            lacking = [int(i) for i in ids if int(i) not in table]
            if lacking:
                raise DataError(
                    f"{where} has no class for {self.task} {lacking[0]} ({len(lacking)} such ids)."
                    " Add a row for each id of the label map."
                )
            return [table[int(i)] for i in ids]

        return codes_of

    def _parts(self, codes: NDArray[np.int32], where: str) -> Instances:
        """Each connected part of a class is an object; ids run class by class."""
        labels = np.zeros(codes.shape, np.int32)
        classes: list[int] = []
        for code in present_ids(codes).tolist():
            index = self.index(str(code), where)
            parts = label_parts(codes == code)
            labels[parts > 0] = parts[parts > 0] + len(classes)
            classes += [index] * int(parts.max())
        if len(classes) > MAX_INSTANCES:
            raise DataError(
                f"{where} has {len(classes)} parts, more than {MAX_INSTANCES}. Cut the image, or"
                " remove the specks."
            )
        return from_label_map(labels, lambda ids: np.array(classes, np.int64)[ids - 1])

    def _read_geojson(self, data: bytes, where: str, shape: tuple[int, int]) -> FoundObjects:
        features = parse_features(data, where)
        outlines = [outline_of(feature, where, "an object") for feature in features]
        codes = [self._code_of(feature, where) for feature in features]
        painted = rasterise(outlines, shape)
        return self._painted(painted, codes, where, sha256(data).hexdigest())

    def _code_of(self, feature: Mapping[str, Any], where: str) -> str:
        if self.how.one_class:
            return ANY_OBJECT
        code = property_of(feature, self.how.class_property)
        if code is None:
            raise DataError(
                f"{where}: an object has no property {self.how.class_property!r}, which should"
                f" name its class. Name the right one as tasks.{self.task}.class_property of"
                f" {FILE_NAME}, or give all objects one_class."
            )
        return code

    def _read_coco(
        self, tree: SourceTree, file: str, image: str, shape: tuple[int, int]
    ) -> FoundObjects:
        where, content = tree.where(file), coco_file(tree, file)
        drawn = content.images[PurePosixPath(image).name]
        painted = paint_coco(drawn, shape, where)
        codes = [ANY_OBJECT] * len(drawn.annotations)
        if not self.how.one_class:
            ids = [annotation.category_id for annotation in drawn.annotations]
            lacking = [i for i in ids if i not in content.categories]
            if lacking:
                raise DataError(f"{where} names no category {lacking[0]}. Export it again.")
            codes = [content.categories[i] for i in ids]
        text = "".join(annotation.model_dump_json() for annotation in drawn.annotations)
        return self._painted(painted, codes, where, sha256(text.encode()).hexdigest())

    def _painted(
        self, painted: Rasterised, codes: list[str], where: str, digest: str
    ) -> FoundObjects:
        if len(codes) > MAX_INSTANCES:
            raise DataError(
                f"{where}: {len(codes)} objects on one image, more than {MAX_INSTANCES}. Cut the"
                " image."
            )
        of_id = np.concatenate([[0], self._indices(codes, where)])
        found = from_label_map(painted.labels, lambda ids: of_id[ids])
        return FoundObjects(found, len(codes), painting_notes(painted), digest)


def decode_map(data: bytes, name: str) -> NDArray[np.int32]:
    """(H, W) whole numbers of an image file of one channel, or of an .npy array.

    Raises:
        DataError: it is damaged, has several channels or pages, or holds anything else.
    """
    if data[:6] == b"\x93NUMPY" or name.lower().endswith(".npy"):
        return as_ids(read_npy(data, name), name)
    picture = open_single_page(data, name)
    if picture.mode not in _NUMBERS:
        raise DataError(
            f"{name} has mode {picture.mode}; expected one channel, whose values are ids or"
            " classes. Save it as 8-bit or 16-bit grey, without colours."
        )
    return as_ids(np.array(picture), name)


def _class_table(data: bytes, where: str) -> dict[int, str]:
    """Id -> class of a CSV with the columns id and class."""
    table: dict[int, str] = {}
    for row in parse_csv(data, where, ("id", "class")):
        try:
            number = int(row["id"])
        except ValueError:
            raise DataError(f"{where}: the id {row['id']!r} is no whole number") from None
        if table.setdefault(number, row["class"].strip()) != row["class"].strip():
            raise DataError(f"{where} gives the id {number} two classes. Keep one.")
    return table


def _class_map(labels: NDArray[np.int32], codes: NDArray[np.int32], where: str) -> dict[int, str]:
    """Id -> the one class code that its pixels have."""
    if codes.shape != labels.shape:
        raise DataError(f"{where} is {codes.shape}, the label map {labels.shape}: write it again")
    inside = labels > 0
    pairs = np.unique(np.stack([labels[inside], codes[inside]]), axis=1).T
    ids, first, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    if (counts > 1).any():
        several = int(ids[counts > 1][0])
        found = ", ".join(str(code) for number, code in pairs.tolist() if number == several)
        raise DataError(
            f"{where}: the object {several} has the classes {found}. Each object has one: write"
            " it again."
        )
    return {int(i): str(code) for i, code in zip(ids, pairs[first, 1], strict=True)}
