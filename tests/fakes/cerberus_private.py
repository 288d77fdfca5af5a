"""The private training data of Cerberus, in both layouts that its code has had."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from fakes import blocks, picture

SHAPE = (50, 60)
GLAND_CLASSES = (1, 2, 1)
NUCLEI_CLASSES = (6, 5, 4, 3, 2, 1)
REGIONS = ("glas_56", "private_1")
"""The first is called as in Lizard, the second not."""
TISSUE = (slice(0, 40), slice(0, 60))
"""What was annotated of private_1."""
FOLDERS = ("abnormal_epi", "mucous")


def write(root: Path, *, joint: bool = True) -> Path:
    """Gland_Lumen with two folders of labels (`joint`), or Gland and Lumen side by side."""
    top = root / "dataset" / "MTL_sample" / "original_data"
    gland, lumen = (top / "Gland_Lumen",) * 2 if joint else (top / "Gland", top / "Lumen")
    info = top / "info"
    for number, record in enumerate(REGIONS):
        image = picture(number, SHAPE)
        save(gland / "Images" / f"{record}.png", image)
        save(lumen / "Images" / f"{record}.png", image)
        mat(gland / ("Labels_Gland" if joint else "Labels") / f"{record}.mat", GLAND_CLASSES)
        mat(lumen / ("Labels_Lumen" if joint else "Labels") / f"{record}.mat", None)
        mask = np.zeros(SHAPE, np.uint8)
        mask[TISSUE if record == "private_1" else ...] = 255
        save(gland / "Tissue" / f"{record}.png", mask)
    save(top / "Nuclei" / "Images" / "glas_56.png", picture(7, SHAPE))
    mat(top / "Nuclei" / "Labels" / "glas_56.mat", NUCLEI_CLASSES)
    for number, folder in enumerate(FOLDERS):
        save(top / "Tissue-Type" / folder / f"patch_{number}.png", picture(20 + number, SHAPE))
    info.mkdir(parents=True)
    (info / "info_gland.csv").write_text("Filename,Split\nglas_56,3\nprivate_1,4\n")
    (info / "info_nuclei.csv").write_text("Filename,Split\nglas_56,3\n")
    (info / "info_tissue-type.csv").write_text("Filename,Split\npatch_0,1\npatch_1,0\n")
    return root


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def mat(path: Path, classes: tuple[int, ...] | None) -> None:
    """Labels with rows in reverse order; lumina have ids and no class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(classes) if classes else 2
    order = np.arange(n, 0, -1)
    variables = {"inst_map": blocks(SHAPE, n), "id": order[:, None]}
    if classes:
        variables["class"] = np.array([classes[i - 1] for i in order])[:, None]
    savemat(path, variables)
