"""DigestPath: JPEG images named by slide and place, VOC boxes, and masks stored as lossy JPEG."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (72, 80)
POSITIVE = (
    "2018_64982_1-3_2019-02-25 21_57_36-lv0-33516-59515-2003-2010",
    "2018_64982_1-3_2019-02-25 21_57_36-lv0-29705-20186-2024-2049",
)
NEGATIVE = ("D20190481111_2019-06-10 09_22_49-lv0-61840-23896-2000-2000",)
BOXES = (
    ("ring_cell_cancer", 10, 12, 22, 26),
    ("ring_cell_cancer", 60, 50, 85, 70),
    ("ring_cell_cancer", 30, 30, 30, 40),
    ("other", 1, 1, 9, 9),
)
"""Inside, beyond the right border, without area, and of another kind: x0 y0 x1 y1."""

MANY_POSITIVE, MANY_NEGATIVE = (
    tuple(f"D2019{part}{i:04d}_2019-06-10 09_22_49-lv0-1-1-2000-2000" for i in range(12))
    for part in (1, 2)
)
"""Images of as many slides, enough for every fold."""

TISSUE_POSITIVE = (
    "18-13347A_2019-05-08 01_31_58-lv1-14057-17758-5693-6244",
    "1902160001_2019-06-11 12_36_32-lv1-11111-22222-3000-3000",
)
"""The first is an image that Lizard re-uses, the second another one of a slide of Lizard's."""
TISSUE_NEGATIVE = ("D201900001_2019-05-21 08_00_00-lv1-100-200-3000-3000",)
LESION = (slice(15, 55), slice(21, 61))


def write_signet(
    root: Path,
    document: str | None = None,
    positive: tuple[str, ...] = POSITIVE,
    negative: tuple[str, ...] = NEGATIVE,
) -> Path:
    """Positive images with boxes, negative ones without."""
    for part, records in (("pos", positive), ("neg", negative)):
        folder = root / "Signet_ring_cell_dataset" / f"sig-train-{part}"
        folder.mkdir(parents=True)
        for number, record in enumerate(records):
            Image.fromarray(picture(number, SHAPE)).save(folder / f"{record}.jpeg", quality=90)
            if part == "pos":
                text = voc() if document is None else document
                (folder / f"{record}.xml").write_text(text, encoding="utf-8")
    return root


def voc(
    boxes: tuple[tuple[str, object, object, object, object], ...] = BOXES,
    size: tuple[int, int] = SHAPE,
) -> str:
    """A Pascal VOC annotation."""
    names = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{label}</name><difficult>0</difficult><bndbox>"
        + "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, box, strict=True))
        + "</bndbox></object>"
        for label, *box in boxes
    )
    height, width = size
    shape = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f'<?xml version="1.0" ?><annotation verified="no">{shape}{objects}</annotation>'


def write_tissue(root: Path) -> Path:
    """Positive images with a mask, negative ones without."""
    top = root / "Colonoscopy_tissue_segment_dataset"
    for folder, records in (
        (top / "tissue-train-pos-v1", TISSUE_POSITIVE),
        (top / "tissue-train-neg", TISSUE_NEGATIVE),
    ):
        folder.mkdir(parents=True)
        for number, record in enumerate(records):
            image = picture(10 * len(records) + number, SHAPE)
            Image.fromarray(image).save(folder / f"{record}.jpg", quality=90)
            if records is TISSUE_POSITIVE:
                Image.fromarray(mask()).save(folder / f"{record}_mask.jpg", quality=75)
    return root


def mask() -> np.ndarray:
    """255 in the lesion; JPEG makes other values of it."""
    values = np.zeros(SHAPE, np.uint8)
    values[LESION] = 255
    return values
