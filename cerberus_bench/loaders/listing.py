"""What most readers do to list a source: put files together, and describe each image."""

from collections.abc import Callable, Mapping
from typing import Any

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.reader import Listing, SourceImage
from cerberus_bench.loaders.tcga import group_of
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError

Describe = Callable[[str, Mapping[str, str]], SourceImage]
"""(record, kind of file -> file) -> what is known about the image."""


def list_images(
    tree: SourceTree,
    spec: DatasetSpec,
    keyed: Mapping[str, tuple[str, str]],
    needed: Mapping[str, str],
    *,
    expected: str,
    describe: Describe,
) -> Listing:
    """The images that have all that they need, in natural order.

    Args:
        tree: where the files are.
        spec: their dataset.
        keyed: file -> (record, kind).
        needed: kinds that a record must have -> what to call a missing one.
        expected: the files of the source, as in `holds no <expected>`.
        describe: makes the image of a record and its files.

    Raises:
        DataError: there is no file, or two are of the same kind and record.
    """
    if not keyed:
        raise nothing_found(tree, spec, expected)
    found = gather(tree, keyed, needed)
    return Listing(
        images=tuple(describe(record, files) for record, files in found.files.items()),
        incomplete=found.incomplete,
    )


def nothing_found(tree: SourceTree, spec: DatasetSpec, expected: str) -> DataError:
    """The error for a folder that is not the source."""
    return DataError(f"{tree.root} holds no {expected}. {spec.how_to_get}")


def source_image(
    spec: DatasetSpec, record: str, files: Mapping[str, str], /, **known: Any
) -> SourceImage:
    """An image that is its own origin, in the group of its TCGA patient or one of its own.

    Args:
        spec: its dataset.
        record: its name, which may hold a TCGA barcode.
        files: its files.
        **known: other fields of `SourceImage`; they come first.
    """
    origin = f"{spec.name}/{record}"
    group, level = group_of(record, origin)
    own = {"group": group, "group_level": level, "origins": (origin,)}
    return SourceImage(record=record, files=files, **{**own, **known})
