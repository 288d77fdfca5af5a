"""MoNuSAC: a folder a patient, images as TIFF beside slides, layers named by class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (50, 60)
TRAIN = "MoNuSAC_images_and_annotations"
TEST = "MoNuSAC Testing Data and Annotations"
RECORDS = {
    f"{TRAIN}/TCGA-A2-A0ES-01Z-00-DX1/TCGA-A2-A0ES-01Z-00-DX1_1": "tif",
    f"{TRAIN}/TCGA-A2-A0ES-01Z-00-DX1/TCGA-A2-A0ES-01Z-00-DX1_002": "rgba",
    f"{TEST}/TCGA-A2-A0ES-01Z-00-DX1/TCGA-A2-A0ES-01Z-00-DX1_1": "tif",
    f"{TEST}/TCGA-G9-6356-01Z-00-DX1/TCGA-G9-6356-01Z-00-DX1_1": "svs only",
}
"""File without its ending -> what there is of it."""
LAYERS = (
    ("Epithelial", [(5, 5), (15, 5), (15, 15), (5, 15)]),
    ("Lymphocyte", [(10, 10), (20, 10), (20, 20), (10, 20)]),
    ("Macrophage", [(30, 30), (40, 30), (40, 40), (30, 40)]),
    ("Neutrophil", [(45, 5), (55, 5), (55, 15), (45, 15)]),
)
AMBIGUOUS = ("Ambiguous", [(40, 25), (60, 25), (60, 45), (40, 45)])


def write(root: Path) -> Path:
    for number, (name, kind) in enumerate(RECORDS.items()):
        stem = root / name
        stem.parent.mkdir(parents=True, exist_ok=True)
        rgb = picture(number, SHAPE)
        Image.fromarray(rgb).save(f"{stem}.svs", format="TIFF", compression="jpeg", quality=95)
        if kind != "svs only":
            alpha = np.full(SHAPE, 255, np.uint8)
            tif = np.dstack([rgb, alpha]) if kind == "rgba" else rgb
            Image.fromarray(tif).save(f"{stem}.tif")
        layers = (*LAYERS, AMBIGUOUS) if name.startswith(TEST) else LAYERS
        Path(f"{stem}.xml").write_text(document(layers), encoding="utf-8")
    return root


def document(layers: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    """An Aperio annotation with a layer a class."""
    text = "".join(
        f'<Annotation Id="{i}"><Attributes><Attribute Name="{name}" Id="0" Value=""/></Attributes>'
        '<Regions><RegionAttributeHeaders/><Region Id="1"><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in polygon)
        + "</Vertices></Region></Regions></Annotation>"
        for i, (name, polygon) in enumerate(layers, 1)
    )
    return f'<Annotations MicronsPerPixel="0.252000">{text}</Annotations>'
