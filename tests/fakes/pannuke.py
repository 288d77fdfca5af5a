"""PanNuke: float64 arrays a fold, ids that repeat from channel to channel."""

from pathlib import Path

import numpy as np

from fakes import picture

SHAPE = (32, 32)
TISSUES = {1: ("Breast", "Colon"), 2: ("Colon", "Liver"), 3: ("Skin", "Breast")}
"""Fold -> tissue of each tile."""
NUCLEI = (
    (0, 3, (slice(2, 8), slice(2, 8))),
    (0, 7, (slice(2, 8), slice(12, 18))),
    (1, 3, (slice(12, 18), slice(2, 8))),
    (2, 3, (slice(16, 22), slice(6, 12))),
    (3, 9, (slice(3, 6), slice(3, 6))),
)
"""Channel, id, place. The fourth overlaps the third in 4 pixels, the fifth lies in the first."""
CLASSES = ("neoplastic", "neoplastic", "inflammatory", "connective")
"""Of the nuclei that can be seen."""


def write(root: Path) -> Path:
    for fold, tissues in TISSUES.items():
        images, masks = (
            root / f"Fold {fold}" / kind / f"fold{fold}" for kind in ("images", "masks")
        )
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        tiles = [picture(10 * fold + i, SHAPE) for i in range(len(tissues))]
        np.save(images / "images.npy", np.stack(tiles).astype(np.float64))
        np.save(images / "types.npy", np.array(tissues))
        np.save(masks / "masks.npy", np.stack([mask() for _ in tissues]))
    (root / "Fold 1" / "README.md").write_text(
        "masks: 0: Neoplastic ... 4: Epithelial, 6: Background"
    )
    return root


def mask() -> np.ndarray:
    """(H, W, 6) float64; the last channel is 1 where no nucleus is."""
    channels = np.zeros((*SHAPE, 6))
    for channel, number, place in NUCLEI:
        channels[(*place, channel)] = number
    channels[..., 5] = ~channels[..., :5].any(axis=2)
    return channels
