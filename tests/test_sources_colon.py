"""What every reader of a colon source keeps: alike from folder and zip, and what is wrong told."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from fakes import cerberus_private as fake_private
from fakes import conic as fake_conic
from fakes import crag as fake_crag
from fakes import crchistophenotypes as fake_crchisto
from fakes import digestpath as fake_digestpath
from fakes import ebhi_seg as fake_ebhi
from fakes import lizard as fake_lizard
from fakes import patches as fake_patches
from fakes import zipped
from source_helpers import listed, read_all

from cerberus_bench.loaders.build import harmonise_source
from cerberus_bench.loaders.reader import Reader
from cerberus_bench.loaders.sources import (
    cerberus_private,
    conic,
    crag,
    crchistophenotypes,
    digestpath_signet,
    digestpath_tissue,
    ebhi_seg,
    kather2016,
    lizard,
    nct_crc_he,
)
from cerberus_bench.schema.errors import DataError


@dataclass(frozen=True)
class Case:
    reader: Reader
    write: Callable[[Path], Path]
    n_images: int
    companion: str | None
    """A file without which its image is left out ..."""
    sentence: str
    """... and what is said of it."""
    damaged: tuple[str, ...]
    """Files that are cut short."""


CASES = {
    "lizard": Case(
        lizard.READER,
        fake_lizard.write,
        5,
        "Lizard_Labels/Labels/glas_56.mat",
        "glas_56 has no .mat",
        ("Lizard_Labels/Labels/glas_56.mat", "Lizard_Images1/glas_56.png"),
    ),
    "conic": Case(
        conic.READER,
        fake_conic.write,
        5,
        None,
        "",
        ("data/images.npy", "data/labels.npy"),
    ),
    "crag": Case(
        crag.READER,
        fake_crag.write,
        5,
        "CRAG/test/Annotation/test_34.png",
        "test_34 has no annotation",
        ("CRAG/train/Images/train_10.png", "CRAG/test/Annotation/test_1.png"),
    ),
    "digestpath_signet": Case(
        digestpath_signet.READER,
        fake_digestpath.write_signet,
        3,
        f"Signet_ring_cell_dataset/sig-train-pos/{fake_digestpath.POSITIVE[0]}.xml",
        f"{fake_digestpath.POSITIVE[0]} has no .xml",
        tuple(
            f"Signet_ring_cell_dataset/sig-train-pos/{fake_digestpath.POSITIVE[0]}.{suffix}"
            for suffix in ("jpeg", "xml")
        ),
    ),
    "digestpath_tissue": Case(
        digestpath_tissue.READER,
        fake_digestpath.write_tissue,
        3,
        "Colonoscopy_tissue_segment_dataset/tissue-train-pos-v1/"
        f"{fake_digestpath.TISSUE_POSITIVE[0]}_mask.jpg",
        f"{fake_digestpath.TISSUE_POSITIVE[0]} has no _mask.jpg",
        tuple(
            "Colonoscopy_tissue_segment_dataset/tissue-train-pos-v1/"
            f"{fake_digestpath.TISSUE_POSITIVE[0]}{suffix}"
            for suffix in (".jpg", "_mask.jpg")
        ),
    ),
    "nct_crc_he_100k": Case(
        nct_crc_he.READER_100K,
        partial(fake_patches.write_nct, n=1),
        9,
        f"NCT-CRC-HE-100K/MUC/MUC-{fake_patches.code('MUC', 0)}.tif",
        "MUC holds 0 of 8896 images",
        (f"NCT-CRC-HE-100K/MUC/MUC-{fake_patches.code('MUC', 0)}.tif",),
    ),
    "nct_crc_he_100k_nonorm": Case(
        nct_crc_he.READER_NONORM,
        partial(fake_patches.write_nct, name="NCT-CRC-HE-100K-NONORM", n=1),
        9,
        None,
        "",
        (f"NCT-CRC-HE-100K-NONORM/TUM/TUM-{fake_patches.code('TUM', 0)}.tif",),
    ),
    "crc_val_he_7k": Case(
        nct_crc_he.READER_7K,
        partial(fake_patches.write_nct, name="CRC-VAL-HE-7K", n=1),
        9,
        f"CRC-VAL-HE-7K/ADI/ADI-TCGA-{fake_patches.code('ADI', 0)}.tif",
        "ADI holds 0 of 1338 images",
        (f"CRC-VAL-HE-7K/ADI/ADI-TCGA-{fake_patches.code('ADI', 0)}.tif",),
    ),
    "kather2016": Case(
        kather2016.READER,
        fake_patches.write_kather,
        24,
        f"Kather_texture_2016_image_tiles_5000/01_TUMOR/{fake_patches.KATHER_NAMES[0]}.tif",
        "01_TUMOR holds 2 of 625 images",
        (f"Kather_texture_2016_image_tiles_5000/01_TUMOR/{fake_patches.KATHER_NAMES[0]}.tif",),
    ),
    "crchistophenotypes": Case(
        crchistophenotypes.READER,
        fake_crchisto.write,
        3,
        "CRCHistoPhenotypes_2016_04_28/Classification/img2/img2_others.mat",
        "img2 has no _others.mat",
        tuple(
            f"CRCHistoPhenotypes_2016_04_28/{name}"
            for name in (
                "Detection/img1/img1.bmp",
                "Detection/img1/img1_detection.mat",
                "Classification/img10/img10_epithelial.mat",
            )
        ),
    ),
    "ebhi_seg": Case(
        ebhi_seg.READER,
        fake_ebhi.write,
        12,
        f"EBHI-SEG/Low-grade IN/label/{fake_ebhi.NAMES[0]}.png",
        f"low-grade-in_{fake_ebhi.NAMES[0]} has no mask",
        tuple(
            f"EBHI-SEG/Low-grade IN/{kind}/{fake_ebhi.NAMES[1]}.png" for kind in ("image", "label")
        ),
    ),
    "cerberus_private": Case(
        cerberus_private.READER,
        fake_private.write,
        5,
        "dataset/MTL_sample/original_data/Nuclei/Labels/glas_56.mat",
        "nuclei_glas_56 has no labels",
        tuple(
            f"dataset/MTL_sample/original_data/{name}"
            for name in (
                "Gland_Lumen/Labels_Lumen/private_1.mat",
                "Gland_Lumen/Labels_Gland/glas_56.mat",
                "Gland_Lumen/Tissue/private_1.png",
                "Nuclei/Images/glas_56.png",
            )
        ),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_folder_and_double_nesting_read_alike(case: Case, tmp_path: Path) -> None:
    flat = case.write(tmp_path / "flat")
    nested = tmp_path / "nested"
    shutil.copytree(flat, nested / "again" / "and again")
    archive = zipped(flat, tmp_path / "source.zip")
    hashes = [
        [found.record.source_sha256 for found in read_all(case.reader, root).values()]
        for root in (flat, nested, archive)
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(hashes[0]) == len(set(hashes[0])) == case.n_images


def test_records_are_of_their_dataset(case: Case, tmp_path: Path) -> None:
    spec = case.reader.spec
    for name, found in read_all(case.reader, case.write(tmp_path)).items():
        record = found.record
        assert record.sample_id == f"{spec.name}/{name}"
        assert set(record.coverage) <= set(spec.tasks)
        assert record.licence == spec.licence.id
        assert record.group_level in {"patient", "slide", "image"}
        assert record.origins


def test_another_folder_says_what_is_expected_and_how_to_get_it(case: Case, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match="holds no") as error:
        listed(case.reader, tmp_path)
    assert case.reader.spec.how_to_get in str(error.value)


def test_two_copies_are_refused(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path / "one")
    case.write(tmp_path / "two")
    with pytest.raises(DataError, match=r"Keep one copy|one is needed"):
        listed(case.reader, tmp_path)


def test_image_without_companion_is_left_out_and_told(case: Case, tmp_path: Path) -> None:
    if case.companion is None:
        pytest.skip("an image of this source is one file")
    root = case.write(tmp_path)
    complete = listed(case.reader, root)
    (root / case.companion).unlink()
    found = listed(case.reader, root)
    assert len(found.images) == len(complete.images) - 1 == case.n_images - 1
    assert any(case.sentence in sentence for sentence in found.incomplete)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_file_cut_short_is_named(case: Case, tmp_path: Path) -> None:
    for number, victim in enumerate(case.damaged):
        root = case.write(tmp_path / str(number))
        path = root / victim
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError) as error:
            read_all(case.reader, root)
        assert path.name in str(error.value)


def test_partial_source_harmonises_only_if_told_to(case: Case, tmp_path: Path) -> None:
    root = case.write(tmp_path / "source")
    if case.reader.spec.expected_images:
        with pytest.raises(DataError, match=r"is not all of .*--allow-partial"):
            harmonise_source(case.reader, root, tmp_path / "out")
    summary = harmonise_source(case.reader, root, tmp_path / "out", allow_partial=True)
    assert summary.n_images == summary.n_records == case.n_images
    assert summary.missing.keys() == case.reader.spec.expected_images.keys()
