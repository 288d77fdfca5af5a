"""DigestPath 2019, colonoscopy tissue: large images with a mask of the malignant lesion."""

import re
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.masks import decode_brightness
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.sources.digestpath import CITATION, HOME, LICENCE, list_parts
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, SourceFile
from cerberus_bench.schema.errors import DataError

SPEC = DatasetSpec(
    name="digestpath_tissue",
    version="1.0.0",
    title="DigestPath 2019, colonoscopy tissue segmentation (training set)",
    tasks=(),
    label_maps={},
    mpp=0.5,
    organ="colon",
    licence=LICENCE,
    citation=CITATION,
    home=HOME,
    how_to_get="Sign the database use agreement on the challenge's page and unpack"
    " Colonoscopy_tissue_segment_dataset, with its folders tissue-train-pos-v1 and"
    " tissue-train-neg.",
    group_level="slide",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("Colonoscopy_tissue_segment_dataset.zip"),),
    expected_images={"positive": 250, "negative": 410},
    notes=(
        "Serves none of the five tasks. A lesion is a region of glands, stroma and mucus together:"
        " it has no gland instances, and a patch of it need not show abnormal epithelium. So no"
        " task is covered; the images are of use for prediction, and because Lizard cuts 69 of its"
        " images from these slides.",
        "The lesion stands in `valid` (all False on negative images), its share of the image in"
        " the attribute lesion_fraction.",
        "Masks are lossy JPEG: a pixel is lesion from 128 up; values between 64 and 191 are"
        " counted, which a mask that is none has many of.",
        "20 x; 0.5 microns per pixel is nominal.",
        "The counts (250 and 410 images) are recalled, not verified. The test set was never"
        " released.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)tissue-train-(pos|neg)(?:-v[0-9]+)?/([^/]+?)(_mask)?\.jpe?g$", re.IGNORECASE
)
_NEEDED = {"positive": {"image": ".jpg", "mask": "_mask.jpg"}, "negative": {"image": ".jpg"}}
_THRESHOLD = 128
_UNDECIDED = (64, 192)


class DigestPathTissueReader:
    """Reads `tissue-train-pos-v1/*.jpg` with `*_mask.jpg`, and `tissue-train-neg/*.jpg`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List negative images, and positive ones that have a mask."""
        keyed = {
            name: (match[1].lower(), match[2], "mask" if match[3] else "image")
            for name, match in tree.match(_FILE).items()
        }
        if not keyed:
            raise DataError(
                f"{tree.root} holds no tissue-train-pos-v1/*.jpg and tissue-train-neg/*.jpg."
                f" {self.spec.how_to_get}"
            )
        return list_parts(tree, keyed, _NEEDED)

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its lesion."""
        pixels = tree.read(image.files["image"])
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        lesion, mask = np.zeros(rgb.shape[:2], bool), b""
        notes: dict[str, int] = {}
        if image.official_split == "positive":
            mask = tree.read(image.files["mask"])
            lesion, notes = _lesion(mask, tree.where(image.files["mask"]))
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={},
            valid=lesion,
            objective=20.0,
            source_sha256=sha256(pixels + mask).hexdigest(),
            attributes={"lesion_fraction": f"{lesion.mean():.4f}"},
        )
        return SourceRecord(record=record, n_objects={}, notes=notes)


READER = DigestPathTissueReader()


def _lesion(mask: bytes, name: str) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """(H, W) lesion of a mask that was stored as JPEG, and what is odd about it."""
    values = decode_brightness(mask, name)
    lesion: NDArray[np.bool_] = values >= _THRESHOLD
    low, high = _UNDECIDED
    notes = {
        f"mask pixels from {low} to {high - 1}": int(np.sum((values >= low) & (values < high))),
        "positive images without a lesion": int(not lesion.any()),
    }
    return lesion, {text: n for text, n in notes.items() if n}
