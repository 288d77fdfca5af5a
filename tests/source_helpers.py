"""What the tests of sources share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.reader import Listing, Reader, SourceRecord
from cerberus_bench.loaders.splits import RecordKey, components_of, folds_of
from cerberus_bench.schema.record import Instances

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "realdata"


def real(name: str) -> Path:
    """A real source, or a skip where it is not there."""
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path} is not here; real data is never part of the project")
    return path


def listed(reader: Reader, root: Path) -> Listing:
    with SourceTree(root) as tree:
        return reader.find(tree)


def read_all(
    reader: Reader, root: Path, *, wanted: Callable[[str], bool] = lambda record: True
) -> dict[str, SourceRecord]:
    """Record name -> decoded record, in the order of the listing."""
    with SourceTree(root) as tree:
        images = [image for image in reader.find(tree).images if wanted(image.record)]
        return {image.record: reader.read(tree, image) for image in images}


def fold_of(reader: Reader, root: Path) -> dict[str, int]:
    """Record name -> fold of the suite."""
    keys = [
        RecordKey(sample_id=image.record, group=image.group, origins=image.origins)
        for image in listed(reader, root).images
    ]
    folds = folds_of(keys, components_of(keys))
    return {key.sample_id: fold for key, fold in zip(keys, folds, strict=True)}


def class_names(reader: Reader, task: str, found: Instances) -> list[str]:
    """Class of each object in order of the ids."""
    classes = reader.spec.label_maps[task].space.classes
    return [classes[index - 1] if index else "none" for index in found.classes]
