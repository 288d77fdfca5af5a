"""The HTML shell of reports: one file, no script, nothing fetched, everything escaped."""

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.pictures.draw import Image, rgb
from cerberus_bench.schema.files import whole

if TYPE_CHECKING:
    from jinja2 import Environment

JPEG_QUALITY = 88
TISSUE_QUALITY = 85
"""Of WebP: 55 kB for a scene of 512 x 512 px, of which a JPEG that keeps drawn lines takes 100."""


def data_uri(image: Image, *, lossless: bool = False) -> str:
    """The image as a `data:` URI: JPEG with full colour resolution, or PNG if lossless.

    Args:
        image: (H, W, 3) uint8.
        lossless: PNG instead of JPEG.
    """
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    if lossless:
        picture.save(buffer, "PNG", optimize=True)
    else:
        # thin coloured lines bleed where chroma is subsampled
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def tissue_uri(image: Image) -> str:
    """An image on which nothing is drawn as a `data:` URI: WebP, smaller than JPEG.

    Args:
        image: (H, W, 3) uint8.
    """
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    picture.save(buffer, "WEBP", quality=TISSUE_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def layer_uri(layer: NDArray[np.uint8], colours: Sequence[tuple[str, float]]) -> str:
    """A transparent PNG as a `data:` URI, to be laid over an image.

    Args:
        layer: (H, W), 0 = nothing, i = the i-th colour from 1.
        colours: `#rrggbb` and its opacity, 0 to 1.
    """
    from PIL import Image as Pillow

    picture = Pillow.fromarray(layer, "P")
    picture.putpalette([0, 0, 0, *(part for colour, _ in colours for part in rgb(colour))])
    opacities = bytes([0, *(round(255 * opacity) for _, opacity in colours)])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, transparency=opacities)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def render_page(template: str, **context: object) -> str:
    """Fill a template of this folder; text is escaped, and a missing name is an error.

    Args:
        template: file name in `pictures/templates`; it extends `shell.html`, which wants `title`.
        context: what the template shows.
    """
    return _environment().get_template(template).render(**context)


def write_page(html: str, out: Path) -> Path:
    """Write a page; it appears when it is complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole(out) as draft:
        draft.write_text(html, encoding="utf-8")
    return out


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("cerberus_bench.pictures", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
