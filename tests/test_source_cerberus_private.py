"""The never released annotations: explained to all, read for those who have them."""

from pathlib import Path

import numpy as np
import pytest
from fakes import cerberus_private as fake
from PIL import Image
from source_helpers import class_names, fold_of, listed, read_all

from cerberus_bench.loaders.sources.cerberus_private import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage
from cerberus_bench.schema.tasks import GLAND, LUMEN, NUCLEI, TISSUE

TOP = Path("dataset/MTL_sample/original_data")


def test_who_does_not_have_it_is_told_why(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"It cannot be obtained.*no public ground truth for lumina"
    ):
        listed(READER, tmp_path)
    assert "never released" in READER.spec.title


def test_label_spaces_are_those_of_the_published_network() -> None:
    spaces = READER.spec.label_spaces
    expected = {"nuclei": NUCLEI, "gland": GLAND, "lumen": LUMEN, "tissue": TISSUE}
    assert spaces == {name: task.labels for name, task in expected.items()}


@pytest.mark.parametrize("joint", [True, False])
def test_content(joint: bool, tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, joint=joint))
    assert set(records) == {
        *("gland_glas_56", "gland_private_1", "nuclei_glas_56"),
        *("tissue_patch_0", "tissue_patch_1"),
    }
    region = records["gland_glas_56"]
    assert region.n_objects == {"gland": 3, "lumen": 2}
    glands = region.record.instances["gland"]
    assert class_names(READER, "gland", glands) == ["gland", "surface_epithelium", "gland"]
    assert class_names(READER, "lumen", region.record.instances["lumen"]) == ["lumen"] * 2
    nuclei = records["nuclei_glas_56"].record.instances["nuclei"]
    assert class_names(READER, "nuclei", nuclei)[0] == "connective"
    patch = records["tissue_patch_1"]
    assert patch.record.tissue == TISSUE.labels.classes.index("mucus")
    assert (patch.record.coverage, patch.n_objects) == ({"tissue": Coverage.FULL}, {"tissue": 1})


@pytest.mark.parametrize("joint", [True, False])
def test_tissue_mask_makes_coverage_partial_for_glands_and_lumina(
    joint: bool, tmp_path: Path
) -> None:
    records = read_all(READER, fake.write(tmp_path, joint=joint))
    whole, part = (records[f"gland_{name}"].record for name in fake.REGIONS)
    assert whole.valid is None
    assert whole.coverage == dict.fromkeys(("gland", "lumen"), Coverage.FULL)
    assert part.coverage == dict.fromkeys(("gland", "lumen"), Coverage.PARTIAL)
    assert part.valid is not None
    assert part.valid[fake.TISSUE].all()
    assert part.valid.sum() == 40 * 60


def test_folds_and_groups_are_those_of_lizard_where_names_are(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    images = {image.record: image for image in listed(READER, root).images}
    assert images["gland_glas_56"].group == images["nuclei_glas_56"].group == "glas/patient-2"
    assert images["gland_private_1"].group == "cerberus_private/gland_private_1"
    assert {name: image.official_split for name, image in images.items()} == {
        "gland_glas_56": "fold_3",
        "gland_private_1": "external",
        "nuclei_glas_56": "fold_3",
        "tissue_patch_0": "fold_1",
        "tissue_patch_1": None,
    }
    assert fold_of(READER, root)["gland_glas_56"] == 3


def test_class_0_is_no_label(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    fake.mat(root / TOP / "Gland_Lumen" / "Labels_Gland" / "glas_56.mat", (0, 1, 2))
    glands = read_all(READER, root)["gland_glas_56"].record.instances["gland"]
    assert class_names(READER, "gland", glands) == ["none", "gland", "surface_epithelium"]


def test_images_without_labels_and_patches_without_class_are_told(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    (root / TOP / "Nuclei" / "Labels" / "glas_56.mat").unlink()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(root / TOP / "Tissue-Type" / "lost.png")
    assert set(listed(READER, root).incomplete) == {
        "nuclei_glas_56 has no labels",
        "lost lies in no folder that names its tissue class",
    }


def test_unknown_tissue_class_and_columns_are_refused(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    fake.save(root / TOP / "Tissue-Type" / "cartilage" / "x.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(DataError, match=r"Tissue-Type/cartilage is none of the tissue classes"):
        listed(READER, root)
    (root / TOP / "info" / "info_gland.csv").write_text("name,fold\nx,1\n")
    with pytest.raises(DataError, match=r"info_gland.csv: 'Filename'; expected the columns"):
        listed(READER, root)
