"""The phantom: the same bytes everywhere, and ground truth that keeps its promises."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom import (
    VERSION,
    Scene,
    mucosa_scene,
    signet_ring_scene,
    tissue_patch,
)
from cerberus_bench.loaders.phantom.geometry import blur, components, distance_inside, upsample
from cerberus_bench.loaders.phantom.mixing import LEAST_SHARE, build_mixed
from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.optics import compress
from cerberus_bench.loaders.phantom.paint import CLEAR, Blob, Canvas, paint
from cerberus_bench.loaders.phantom.placement import place
from cerberus_bench.loaders.phantom.randomness import Family, Purpose, RandomStream
from cerberus_bench.loaders.phantom.scene import _blank
from cerberus_bench.loaders.phantom.sheet import outlined, write_sheet
from cerberus_bench.loaders.phantom.source import READER, SPEC, SPLITS, PhantomReader
from cerberus_bench.loaders.phantom.tables import TRANSMISSION, dct_basis, sincos
from cerberus_bench.loaders.phantom.tissue import Tissue
from cerberus_bench.loaders.phantom.truth import SMALLEST_NUCLEUS_PX, tidy_nuclei
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

FINGERPRINT = "3778a03ac8c3b3a77e77abdb18d6e7335cb30c63b29dd6d1b7ebe433ed4d0f8e"
"""sha256 of the scenes of `fingerprint` at VERSION 1; a change of it needs a new VERSION."""


def digest(scene: Scene) -> bytes:
    arrays: list[NDArray[np.generic]] = [
        scene.image,
        scene.nuclei.astype("<i4"),
        scene.nuclei_classes.astype("<i8"),
        scene.gland.astype("<i4"),
        scene.gland_classes.astype("<i8"),
        scene.lumen.astype("<i4"),
        scene.signet_ring.astype("<f4"),
    ]
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).digest()


def fingerprint() -> str:
    scenes = [mucosa_scene(i, size=256) for i in (0, 9, 63, 70, 82)]
    scenes += [mucosa_scene(17, seed=5, size=512, training=True)]
    scenes += [tissue_patch(i) for i in (*range(9), 12)]
    scenes += [tissue_patch(4, variant="stain-shift"), signet_ring_scene(3, size=256)]
    scenes += [mucosa_scene(0, size=128, variant="blur")]
    return hashlib.sha256(b"".join(map(digest, scenes))).hexdigest()


@pytest.fixture(scope="module")
def scene() -> Scene:
    return mucosa_scene(80)


@pytest.fixture(scope="module")
def signet() -> Scene:
    return signet_ring_scene(1)


def stream(index: int = 0, purpose: Purpose = Purpose.PLAN) -> RandomStream:
    return RandomStream(0, Family.MUCOSA, purpose, index)


class TestDeterminism:
    def test_bytes_are_those_of_this_version(self) -> None:
        assert VERSION == 1
        assert fingerprint() == FINGERPRINT

    def test_bytes_do_not_depend_on_the_processor(self) -> None:
        """Without SIMD dispatch NumPy's float64 `exp` changes; no byte of the phantom may."""
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

        used = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
        environment = {
            **os.environ,
            "NPY_DISABLE_CPU_FEATURES": " ".join(used),
            "OPENBLAS_CORETYPE": "Nehalem",
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }
        command = "from tests.test_phantom import fingerprint; print(fingerprint())"
        done = subprocess.run(
            [sys.executable, "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == FINGERPRINT

    def test_order_of_making_does_not_matter(self) -> None:
        first = digest(tissue_patch(7))
        mucosa_scene(1, size=64)
        assert digest(tissue_patch(7)) == first

    def test_variants_share_tissue_and_truth(self) -> None:
        plain, shifted, blurred = (
            mucosa_scene(2, size=128, variant=v) for v in ("default", "stain-shift", "blur")
        )
        for other in (shifted, blurred):
            np.testing.assert_array_equal(plain.nuclei, other.nuclei)
            np.testing.assert_array_equal(plain.lumen, other.lumen)
            assert not np.array_equal(plain.image, other.image)
        sharpness = [
            np.abs(np.diff(s.image.astype(float), axis=0)).mean() for s in (plain, blurred)
        ]
        assert sharpness[1] < sharpness[0]

    def test_scenes_of_a_slide_differ_and_share_the_slide(self) -> None:
        scenes = [mucosa_scene(i, size=64) for i in (0, 7, 8)]
        assert [s.slide for s in scenes] == [0, 0, 1]
        assert not np.array_equal(scenes[0].image, scenes[1].image)

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            ({"index": 0, "size": 100}, "multiple of 16"),
            ({"index": -1}, "index -1"),
            ({"index": 0, "seed": -2}, "seed -2"),
            ({"index": 0, "variant": "sepia"}, "sepia"),
        ],
    )
    def test_wrong_use_is_named(self, arguments: dict[str, int], word: str) -> None:
        with pytest.raises(DataError, match=word):
            mucosa_scene(**arguments)  # type: ignore[arg-type]


class TestTruth:
    def test_shapes_and_types(self, scene: Scene) -> None:
        assert scene.image.shape == (512, 512, 3)
        assert scene.image.dtype == np.uint8
        for labels in (scene.nuclei, scene.gland, scene.lumen):
            assert labels.shape == (512, 512)
            assert labels.dtype == np.int32

    def test_ids_have_no_gaps(self, scene: Scene) -> None:
        for labels, count in (
            (scene.nuclei, len(scene.nuclei_classes)),
            (scene.gland, len(scene.gland_classes)),
            (scene.lumen, int(scene.lumen.max())),
        ):
            assert np.unique(labels[labels > 0]).tolist() == list(range(1, count + 1))

    def test_each_nucleus_is_one_piece_of_some_size(self, scene: Scene) -> None:
        count = len(scene.nuclei_classes)
        assert components(scene.nuclei, connectivity=2).max() == count
        assert np.bincount(scene.nuclei.ravel())[1:].min() >= SMALLEST_NUCLEUS_PX

    def test_classes_are_in_range(self, scene: Scene) -> None:
        assert set(np.unique(scene.nuclei_classes)) <= set(range(1, 7))
        assert set(np.unique(scene.gland_classes)) <= {1, 2, 3}

    def test_lumina_lie_in_glands_and_hold_no_epithelial_nucleus(self, scene: Scene) -> None:
        assert (scene.gland[scene.lumen > 0] > 0).all()
        epithelial = np.r_[False, scene.nuclei_classes == 2][scene.nuclei]
        assert epithelial[scene.lumen > 0].mean() < 0.02

    def test_epithelial_nuclei_lie_in_glands(self, scene: Scene) -> None:
        epithelial = np.r_[False, scene.nuclei_classes == 2][scene.nuclei]
        assert (scene.gland[epithelial] > 0).mean() > 0.97

    def test_nuclei_are_darker_than_lumina(self, scene: Scene) -> None:
        grey = scene.image.mean(axis=2)
        assert grey[scene.nuclei > 0].mean() + 40 < grey[scene.lumen > 0].mean()

    def test_gut_lumen_is_background(self) -> None:
        scenes = (mucosa_scene(index, size=256, training=True) for index in range(60, 100))
        scene = next(s for s in scenes if 3 in s.gland_classes)
        open_space = (scene.gland == 0) & (scene.image.min(axis=2) > 200)
        assert open_space.mean() > 0.02
        assert not scene.lumen[open_space].any()

    def test_signet_boxes_hold_an_epithelial_crescent(self, signet: Scene) -> None:
        boxes = signet.signet_ring
        assert len(boxes) > 20
        assert (boxes[:, 2:] - boxes[:, :2] >= 8).all()
        assert boxes.min() >= 0
        assert boxes.max() <= 512
        epithelial = np.r_[False, signet.nuclei_classes == 2][signet.nuclei]
        held = [
            epithelial[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].any()
            for x0, y0, x1, y1 in boxes
        ]
        assert np.mean(held) > 0.9

    def test_mucosa_has_no_signet_rings(self, scene: Scene) -> None:
        assert scene.signet_ring.shape == (0, 4)
        assert scene.tissue is None

    def test_mostly_covered_nuclei_are_not_labelled(self) -> None:
        """Disc 1 (radius 10, 314 px) loses all but 20 %; disc 2 covers it."""
        yy, xx = np.mgrid[:64, :64] + 0.5
        labels = (((xx - 30) ** 2 + (yy - 30) ** 2) < 100).astype(np.int32)
        labels[((xx - 34) ** 2 + (yy - 30) ** 2) < 121] = 2
        blobs = [
            Blob(1, 30.0, 30.0, 10.0, 10.0, 0.0, 1.0, 0.5, 0.1),
            Blob(2, 34.0, 30.0, 11.0, 11.0, 0.0, 1.0, 0.5, 0.1),
        ]
        assert (labels == 1).sum() < 0.35 * np.pi * 100
        tidy, classes = tidy_nuclei(labels, [0, 3, 2], blobs, frozenset())
        assert classes.tolist() == [2]
        np.testing.assert_array_equal(tidy == 1, labels == 2)
        _, kept = tidy_nuclei(labels, [0, 3, 2], blobs, frozenset({3}))
        assert kept.tolist() == [3, 2]


class TestTissue:
    def test_classes_are_balanced_on_every_slide(self) -> None:
        classes = [tissue_patch(i, size=32).tissue for i in range(18)]
        assert Counter(classes) == dict.fromkeys(range(9), 2)
        assert tissue_patch(17, size=32).slide == 0
        assert tissue_patch(18, size=32).slide == 1

    def test_patch_is_224_px(self) -> None:
        assert tissue_patch(0).image.shape == (224, 224, 3)

    def test_background_is_glass_and_muscle_is_pink(self) -> None:
        background, muscle = tissue_patch(0), tissue_patch(4)
        assert background.kind == "background"
        assert background.image.mean() > 220
        red, green, blue = muscle.image.reshape(-1, 3).mean(axis=0)
        assert green < blue < red

    @pytest.mark.parametrize("tissue", list(Tissue))
    def test_label_of_a_mixed_patch_covers_most_of_it(self, tissue: Tissue) -> None:
        for index in range(3):
            section = _blank(Family.TISSUE, index, 0, 1, 224, "default")
            assert LEAST_SHARE <= build_mixed(section, tissue).share <= 1.0


class TestParts:
    def test_distance_equals_the_slow_definition(self) -> None:
        mask = value_noise(stream(), 24, 6.0) > 0.45
        outside = np.argwhere(~mask)
        cells = np.argwhere(mask)
        squared = ((cells[:, None] - outside[None]) ** 2).sum(axis=2).min(axis=1)
        expected = np.zeros(mask.shape)
        expected[mask] = np.minimum(np.sqrt(squared), 6)
        np.testing.assert_allclose(distance_inside(mask, 5), expected, rtol=1e-6)

    def test_value_noise_is_smooth_and_in_range(self) -> None:
        noise = value_noise(stream(), 64, 8.0)
        assert noise.dtype == np.float32
        assert 0 <= noise.min() < noise.max() <= 1
        assert np.abs(np.diff(noise, axis=0)).max() < 0.25

    def test_upsample_and_blur_keep_a_constant(self) -> None:
        field = np.full((6, 8), 0.5, np.float32)
        np.testing.assert_array_equal(upsample(field), np.full((12, 16), 0.5))
        np.testing.assert_array_equal(blur(field, 3), field)

    def test_placed_sites_keep_their_distance(self) -> None:
        allowed = np.ones((60, 60), np.bool_)
        sites = np.array(place(stream(), np.zeros((60, 60), np.uint8), allowed, 5.0, 40))
        assert len(sites) == 40
        apart = ((sites[:, None] - sites[None]) ** 2).sum(axis=2) + 1000 * np.eye(40)
        assert apart.min() > 25

    def test_placing_none_takes_no_room(self) -> None:
        occupied = np.zeros((10, 10), np.uint8)
        assert place(stream(), occupied, np.ones((10, 10), np.bool_), 3.0, 0) == []
        assert not occupied.any()

    def test_tables_are_exact_to_their_rounding(self) -> None:
        assert sincos(0.0) == (0.0, 1.0)
        assert sincos(0.25) == (1.0, 0.0)
        assert sincos(0.125)[0] == pytest.approx(2**-0.5, abs=2**-20)
        assert TRANSMISSION[0] == 245 * 64
        assert TRANSMISSION[1024] == 1568
        np.testing.assert_allclose(dct_basis() @ dct_basis().T / 2**20, np.eye(8), atol=2e-3)

    def test_streams_of_different_purpose_differ(self) -> None:
        draws = {stream(i, p).uniform() for i in range(3) for p in Purpose}
        draws |= {RandomStream(0, f, Purpose.PLAN, 0).uniform() for f in Family}
        assert len(draws) == 3 * len(Purpose) + len(Family) - 1

    def test_normal_has_its_mean_and_deviation(self) -> None:
        random = stream()
        draws = [random.normal(3.0, 2.0) for _ in range(4000)]
        assert np.mean(draws) == pytest.approx(3.0, abs=0.1)
        assert np.std(draws) == pytest.approx(2.0, abs=0.1)

    def test_blob_paints_stain_and_label_alike(self) -> None:
        canvas = Canvas.blank(48)
        tile = np.zeros((256, 256), np.float32)
        disc = Blob(7, 24.0, 24.0, 10.0, 10.0, 0.0, 1.0, 0.4, 0.1, keep=0.0)
        paint(canvas, [disc], tile, stream())
        assert (canvas.labels == 7).sum() == pytest.approx(np.pi * 100, rel=0.03)
        assert canvas.haematoxylin[24, 24] == pytest.approx(0.4)
        hole = Blob(CLEAR, 24.0, 24.0, 4.0, 4.0, 0.0, 1.0, 0.0, 0.0, keep=0.0)
        paint(canvas, [hole], tile, stream())
        assert canvas.labels[24, 24] == 0
        assert canvas.haematoxylin[24, 24] == 0

    def test_large_blobs_are_painted_too(self) -> None:
        canvas = Canvas.blank(64)
        blob = Blob(1, 32.0, 32.0, 60.0, 20.0, 0.0, 1.0, 0.4, 0.1)
        paint(canvas, [blob], np.zeros((256, 256), np.float32), stream())
        assert canvas.labels[32, 32] == 1

    def test_compression_is_nearly_lossless_on_flat_grey(self) -> None:
        flat = np.full((32, 32, 3), 180, np.int32)
        assert np.abs(compress(flat, 90) - flat).max() <= 2


class TestSource:
    def test_a_slide_is_in_one_split_only(self) -> None:
        images = READER.find().images
        splits: dict[str, set[str | None]] = {}
        for image in images:
            splits.setdefault(image.group, set()).add(image.role)
        assert all(len(roles) == 1 for roles in splits.values())
        assert len({image.record for image in images}) == len(images) == SPEC.n_images

    def test_splits_hold_what_the_spec_says(self) -> None:
        for split in SPLITS:
            kinds = Counter(image.attributes["kind"] for image in READER.images(split))
            assert sum(kinds.values()) == SPEC.expected_images[split]
            assert kinds["mucosa"] == {"train": 240, "validation": 48, "test": 96}[split]

    def test_unknown_split_and_variant_are_named(self) -> None:
        with pytest.raises(DataError, match="holdout"):
            READER.images("holdout")
        with pytest.raises(DataError, match="sepia"):
            PhantomReader("sepia")

    def test_records_say_what_is_annotated(self) -> None:
        images = {i.attributes["kind"]: i for i in READER.images("validation")}
        mucosa, patch, signet = (
            READER.read(None, images[kind]) for kind in ("mucosa", "patch", "signet")
        )
        assert set(mucosa.record.coverage) == {"nuclei", "gland", "lumen", "signet_ring"}
        assert mucosa.n_objects["signet_ring"] == 0
        assert patch.record.coverage == {"tissue": Coverage.FULL}
        assert patch.record.tissue is not None
        assert not patch.record.instances
        assert set(signet.record.coverage) == {"nuclei", "signet_ring"}
        assert signet.n_objects["signet_ring"] > 0
        for found in (mucosa, patch, signet):
            assert found.record.sample_id.startswith("phantom/")
            assert found.record.mpp == 0.5

    def test_records_of_a_split_are_made_one_by_one(self) -> None:
        first = next(READER.records("test"))
        assert first.split == "test"
        assert first.group == "phantom/mucosa-slide-036"

    def test_tissue_label_space_is_in_the_order_of_cerberus(self) -> None:
        names = SPEC.label_maps["tissue"].space.classes
        assert len(names) == len(Tissue)
        assert [name.split("_")[0] for name in names] == [
            tissue.name.lower().split("_")[0] for tissue in Tissue
        ]


class TestSheet:
    def test_outlines_leave_the_left_part_alone(self, scene: Scene) -> None:
        drawn = outlined(scene)
        np.testing.assert_array_equal(drawn[:, :200], scene.image[:, :200])
        changed = (drawn != scene.image).any(axis=2)
        assert 0.03 < changed[:, 220:].mean() < 0.6

    def test_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="nowhere"):
            write_sheet(tmp_path / "nowhere" / "sheet.png")
