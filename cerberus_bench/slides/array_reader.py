"""An array in memory as a slide: for tests, and for slides of formats that we do not read."""

import hashlib

from cerberus_bench.schema.record import check_image
from cerberus_bench.slides.reader import END_BYTES, Level, Pixels, checked_mpp


class ArrayReader:
    """A slide of one level."""

    kind = "array"

    def __init__(
        self, pixels: Pixels, mpp: float, *, name: str = "array", preview: Pixels | None = None
    ) -> None:
        """Take an array for a slide; it is not copied.

        Args:
            pixels: (H, W, 3) RGB uint8.
            mpp: microns per pixel.
            name: of the slide.
            preview: a small picture of the whole slide.

        Raises:
            DataError: the array is no 8-bit RGB image, or the mpp no resolution.
        """
        check_image(pixels, name)
        self._pixels = pixels
        self._preview = preview
        self.name = name
        self.mpp = checked_mpp(name, None, mpp)
        self.size_px = (pixels.shape[1], pixels.shape[0])
        self.levels = (Level(*self.size_px, 1.0),)

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Pixels:
        """See `SlideReader.read`."""
        return self._pixels[y : y + height, x : x + width].copy()

    def preview(self) -> Pixels | None:
        """See `SlideReader.preview`."""
        return self._preview

    def identity(self) -> tuple[int, str]:
        """Bytes of the array, and the SHA-256 of its first and last MiB, as of a file."""
        flat = self._pixels.reshape(-1)
        digest = hashlib.sha256(flat[:END_BYTES].tobytes())
        digest.update(flat[max(0, len(flat) - END_BYTES) :].tobytes())
        return self._pixels.nbytes, digest.hexdigest()
