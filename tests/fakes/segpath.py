"""SegPath: pairs of patch and mask a folder an antibody, and a table that is gzipped or not."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (40, 40)
RECORDS = (
    "CD3CD20_Lymphocyte_001_012345_054321",
    "CD3CD20_Lymphocyte_001_023456_054321",
    "panCK_Epithelium_107_000984_001968",
)
POSITIVE = (slice(0, 10), slice(0, 20))


def write(root: Path, *, gzipped: bool = True) -> Path:
    for number, record in enumerate(RECORDS):
        antibody = "_".join(record.split("_")[:2])
        folder = root / antibody
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, SHAPE)).save(folder / f"{record}_HE.png")
        mask = np.zeros(SHAPE, np.uint8)
        mask[POSITIVE] = 1
        Image.fromarray(mask).save(folder / f"{record}_mask.png")
    lines = [f"CD3CD20_Lymphocyte/{RECORDS[0]}_{kind}.png,val" for kind in ("HE", "mask")]
    text = "\n".join(["filename,train_val_test", *lines, ""]).encode()
    (root / "CD3CD20_fileinfo.csv").write_bytes(gzip.compress(text) if gzipped else text)
    return root
