"""The audit: the same picture found again, leakage over splits, odd objects."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from fakes import glas
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.loaders.audit_report import AuditReport
from cerberus_bench.loaders.image_hashes import (
    NEAR_BITS,
    near_pairs,
    perceptual_hash,
    pixel_hash,
)
from cerberus_bench.loaders.phantom import mucosa_scene
from cerberus_bench.workflows.audit import audit
from cerberus_bench.workflows.harmonize import harmonize

Image8 = NDArray[np.uint8]
GROWTH = 1.2401
"""From 0.62005 to 0.5 microns per pixel."""


@pytest.fixture(scope="module")
def scene() -> Image8:
    return mucosa_scene(3, size=256).image


def resampled(image: Image8, factor: float, quality: int) -> Image8:
    """The image enlarged and compressed as JPEG."""
    picture = Image.fromarray(image)
    size = (round(picture.width * factor), round(picture.height * factor))
    data = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(data, "JPEG", quality=quality)
    return np.array(Image.open(data))


def bits_between(one: Image8, other: Image8) -> int | None:
    """Bits in which two images differ, None if they are not taken for the same."""
    hashes = [perceptual_hash(image) for image in (one, other)]
    assert all(found is not None for found in hashes)
    pairs = list(near_pairs(np.stack(hashes)))
    return pairs[0][2] if pairs else None


def test_an_image_enlarged_and_compressed_is_found_again(scene: Image8) -> None:
    copy = resampled(scene, GROWTH, 75)
    assert pixel_hash(copy) != pixel_hash(scene)
    bits = bits_between(scene, copy)
    assert bits is not None
    assert bits <= NEAR_BITS


def test_two_crops_of_one_texture_are_two_images(scene: Image8) -> None:
    assert bits_between(scene[:128], scene[128:]) is None
    assert bits_between(scene, mucosa_scene(4, size=256).image) is None


def test_glass_has_no_perceptual_hash() -> None:
    assert perceptual_hash(np.full((64, 64, 3), 240, np.uint8)) is None


def test_near_pairs_count_bits() -> None:
    hashes = np.zeros((3, 8), np.uint64)
    hashes[1, 0], hashes[2] = 0b111, np.uint64(2**64 - 1)
    assert list(near_pairs(hashes)) == [(0, 1, 3)]


@pytest.fixture(scope="module")
def folder(scene: Image8, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GlaS with train_10 as a resampled copy of train_1, testA_1 as an exact one of train_3."""
    source = glas.write(tmp_path_factory.mktemp("source"))
    (home,) = (path.parent for path in source.rglob("Grade.csv"))
    other = mucosa_scene(4, size=256).image
    images = {
        "train_1": scene,
        "train_10": resampled(scene, GROWTH, 75),
        "train_3": other,
        "testA_1": other,
    }
    for record, image in images.items():
        Image.fromarray(image).save(home / f"{record}.bmp")
        labels = np.zeros(image.shape[:2], np.uint8)
        labels[10:40, 10:40] = 1
        labels[60:90, 10:40] = 1  # a second part of the same gland
        Image.fromarray(labels).save(home / f"{record}_anno.bmp")
    out = tmp_path_factory.mktemp("data") / "glas"
    harmonize("glas", source, out, allow_partial=True)
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> AuditReport:
    return audit([str(folder)])


def test_duplicates_are_found_inside_a_dataset(report: AuditReport) -> None:
    found = {
        frozenset(member.sample_id for member in one.members): one for one in report.duplicates
    }
    near = found[frozenset({"glas/train_1", "glas/train_10"})]
    exact = found[frozenset({"glas/train_3", "glas/testA_1"})]
    assert not near.is_exact
    assert exact.is_exact
    for one in (near, exact):
        assert not one.is_linked
        assert one.leaks == (len({(m.split, m.fold) for m in one.members}) > 1)
    assert any(one.leaks for one in (near, exact))
    assert any("duplicates" in failure for failure in report.failures)


def test_odd_objects_are_counted(report: AuditReport) -> None:
    (task,) = report.tasks
    assert task.n_records == len(glas.PATIENTS)
    assert {str(kind): n for kind, (n, _) in task.faults.items()}["multi-part"] == 4
    assert sum(sum(c.values()) for c in task.classes.values()) == task.n_objects


def test_the_verb_fails_on_leakage_and_writes_a_page(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    done = CliRunner().invoke(app, ["audit", str(folder), "--html", str(page), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["failures"]
    text = page.read_text()
    assert "glas/train_10" in text
    assert "data:image/" in text
    assert "<script" not in text
