"""Kumar: the training zip of MoNuSeg, with images of all three parts and one of none."""

from pathlib import Path

from PIL import Image

from fakes import monuseg, picture

PARTS = {
    "TCGA-G9-6356-01Z-00-DX1": "train",
    "TCGA-21-5786-01Z-00-DX1": "test_same_organ",
    "TCGA-NH-A8F7-01A-01-TS1": "test_different_organ",
}
LATER = "TCGA-AC-A2FO-01A-01-TS1"
"""An image that only later training zips of MoNuSeg have."""


def write(root: Path) -> Path:
    images = root / monuseg.TRAIN / "Tissue Images"
    labels = root / monuseg.TRAIN / "Annotations"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for number, record in enumerate((*PARTS, LATER)):
        Image.fromarray(picture(number, monuseg.SHAPE)).save(images / f"{record}.tif")
        (labels / f"{record}.xml").write_text(monuseg.document(), encoding="utf-8")
    return root
