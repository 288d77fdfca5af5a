"""Kumar: MoNuSeg's training images under another split, known to be the same images."""

from pathlib import Path

from fakes import kumar as fake
from fakes import monuseg as fake_monuseg
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources import monuseg
from cerberus_bench.loaders.sources.kumar import READER


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert {name: found.record.official_split for name, found in records.items()} == fake.PARTS
    for found in records.values():
        assert found.n_objects == {"nuclei": len(fake_monuseg.POLYGONS)}
        assert found.record.instances["nuclei"].ids.tolist() == [1, 2, 3]
        assert found.notes["polygons of fewer than three points, skipped"] == 1
        assert found.record.sample_id == f"kumar/{found.record.record}"


def test_split_is_16_and_14_of_the_30_training_images() -> None:
    parts = READER.spec.expected_images
    assert dict(parts) == {"train": 16, "test_same_organ": 8, "test_different_organ": 6}
    assert sum(parts.values()) == monuseg.SPEC.expected_images["train"]


def test_images_are_those_of_monuseg(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    here = {image.record: image for image in listed(READER, root).images}
    there = {image.record: image for image in listed(monuseg.READER, root).images}
    assert set(there) - set(here) == {fake.LATER}
    for record, image in here.items():
        assert image.origins == there[record].origins == (f"monuseg/{record}",)
        assert image.group == there[record].group
    assert here["TCGA-G9-6356-01Z-00-DX1"].group == "tcga/TCGA-G9-6356"


def test_test_images_of_monuseg_are_none_of_kumar(tmp_path: Path) -> None:
    root = fake_monuseg.write(tmp_path)
    assert [image.record for image in listed(READER, root).images] == [
        "TCGA-21-5784-01Z-00-DX1",
        "TCGA-B0-5698-01Z-00-DX1",
    ]
