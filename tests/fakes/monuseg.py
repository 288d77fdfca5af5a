"""MoNuSeg: tissue images with Aperio XML; polygons that overlap, leave the image, or are none."""

from pathlib import Path

from PIL import Image

from fakes import picture

SHAPE = (60, 60)
TRAIN = "MoNuSeg 2018 Training Data"
TEST = "MoNuSegTestData"
RECORDS = ("TCGA-21-5784-01Z-00-DX1", "TCGA-21-5784-01Z-00-DX2", "TCGA-B0-5698-01Z-00-DX1")
POLYGONS = (
    [(10, 10), (20, 10), (20, 20), (10, 20)],
    [(15.0, 15.0), (25.0, 15.0), (25.0, 25.0), (15.0, 25.0)],
    [(-2.9, 40.0), (5.0, 40.0), (5.0, 50.0), (-2.9, 50.0)],
    [(30.0, 30.0), (31.0, 31.0)],
)
"""A square, one that overlaps it, one that leaves the image, and one of two points."""


def write(root: Path, *, with_test: bool = True) -> Path:
    """The training layout with two folders, and the flat test folder."""
    for number, record in enumerate(RECORDS):
        is_test = number == 2
        if is_test and not with_test:
            continue
        images = root / TEST if is_test else root / TRAIN / "Tissue Images"
        labels = root / TEST if is_test else root / TRAIN / "Annotations"
        for folder in (images, labels):
            folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, SHAPE)).save(images / f"{record}.tif")
        mpp = ' MicronsPerPixel="0.252000"' if number == 0 else ""
        (labels / f"{record}.xml").write_text(document(mpp), encoding="utf-8")
    return root


def document(mpp: str = "") -> str:
    """An Aperio annotation file."""
    regions = "".join(
        f'<Region Id="{10 + i}" NegativeROA="0"><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in polygon)
        + "</Vertices></Region>"
        for i, polygon in enumerate(POLYGONS)
    )
    layer = f'<Annotation Id="1"><Regions>{regions}</Regions></Annotation>'
    return f"<Annotations{mpp}>{layer}</Annotations>"
