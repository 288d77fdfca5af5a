"""CPM-15: text masks, and two that belong to each other's image. CPM-17: .mat files."""

from pathlib import Path

import numpy as np
import pytest
from fakes import blocks, picture
from fakes import cpm as fake
from source_helpers import read_all

from cerberus_bench.loaders.build import harmonise_source
from cerberus_bench.loaders.sources import cpm15, cpm17
from cerberus_bench.loaders.sources.cpm15 import parse_text_mask
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.audit import audit

SWAPPED = {"masks read from the file of the other image, by their size": 1}


@pytest.mark.parametrize("matlab", [False, True])
def test_content_of_cpm15(matlab: bool, tmp_path: Path) -> None:
    records = read_all(cpm15.READER, fake.write15(tmp_path, exchanged=False, matlab=matlab))
    assert list(records) == list(fake.SHAPES)  # pictures of the masks are no images
    for number, (name, found) in enumerate(records.items()):
        shape, n = fake.SHAPES[name], fake.N_NUCLEI[name]
        assert np.array_equal(found.record.image, picture(number, shape))
        assert np.array_equal(found.record.instances["nuclei"].labels, blocks(shape, n))
        assert found.n_objects == {"nuclei": n}
        assert found.notes == {}


def test_exchanged_masks_are_read_with_the_image_that_they_fit_and_both_told(
    tmp_path: Path,
) -> None:
    records = read_all(cpm15.READER, fake.write15(tmp_path))
    for name, found in records.items():
        labels = blocks(fake.SHAPES[name], fake.N_NUCLEI[name])
        assert np.array_equal(found.record.instances["nuclei"].labels, labels)
        other = {"image04": "image05", "image05": "image04"}.get(name)
        assert found.notes == (SWAPPED if other else {})
        assert found.record.attributes == ({"mask_of": other} if other else {})


def test_exchanged_masks_are_a_fault_that_an_audit_must_find(tmp_path: Path) -> None:
    harmonise_source(
        cpm15.READER, fake.write15(tmp_path / "in"), tmp_path / "cpm15", allow_partial=True
    )
    checks = audit([str(tmp_path / "cpm15")]).known_faults
    assert [(check.fault.text, check.state) for check in checks] == [(*SWAPPED, "found")]


def test_magnification_is_that_of_the_readme(tmp_path: Path) -> None:
    records = read_all(cpm15.READER, fake.write15(tmp_path))
    assert (records["image01"].record.mpp, records["image01"].record.objective) == (0.5, 20.0)
    assert (records["image08"].record.mpp, records["image08"].record.objective) == (0.25, 40.0)


def test_mask_that_fits_no_image_is_refused(tmp_path: Path) -> None:
    path = fake.write15(tmp_path) / "cpm15" / "image01_mask.txt"
    path.write_text(fake.text_mask(blocks((20, 20), 1)))
    with pytest.raises(DataError, match=r"cpm15/image01: the nuclei label map is \(20, 20\)"):
        read_all(cpm15.READER, tmp_path)


def test_text_mask_runs_along_the_rows() -> None:
    labels = parse_text_mask(b"3 2\n0\n1\n1\n2\n0\n0\n", "mask")
    assert labels.tolist() == [[0, 1, 1], [2, 0, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 2\n0\n1\n", "says 3 x 2 px and holds 2 ids"),
        ("", "says 0 x 0 px"),
        ("2 1\n0\nx\n", "no whole number"),
        ("2 1\n0\n-4\n", "ids beyond 0"),
        ("-2 -1\n0\n4\n", "says -2 x -1"),
        (f"1 1\n{'9' * 30}\n", "a word of more than 12 characters"),
    ],
)
def test_text_masks_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"mask .*{message}"):
        parse_text_mask(text.encode(), "mask")


def test_content_of_cpm17(tmp_path: Path) -> None:
    records = read_all(cpm17.READER, fake.write17(tmp_path))
    assert list(records) == ["test_image_00", "train_image_00", "train_image_01"]
    found = records["train_image_01"]
    assert np.array_equal(found.record.image, picture(21, (40, 40)))
    assert np.array_equal(found.record.instances["nuclei"].labels, blocks((40, 40), 4))
    assert found.record.official_split == "train"
    assert found.record.attributes == {"mpp_source": "spec"}
    assert len({found.record.group for found in records.values()}) == 3
