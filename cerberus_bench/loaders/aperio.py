"""Aperio ImageScope XML: outlines in layers, in pixels of the full resolution."""

from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError


def microns_per_pixel(root: Element) -> float | None:
    """As the file states it, None where it does not."""
    try:
        mpp = float(root.get("MicronsPerPixel", ""))
    except ValueError:
        return None
    return mpp if 0.01 < mpp < 100 else None


def outlines(layer: Element, name: str) -> list[NDArray[np.float64]]:
    """The (n, 2) x y vertices of each region below an element, in document order.

    Raises:
        DataError: a vertex has no numeric X and Y.
    """
    try:
        return [
            np.array(
                [(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")],
                np.float64,
            ).reshape(-1, 2)
            for region in layer.iter("Region")
        ]
    except (KeyError, ValueError) as error:
        raise DataError(f"{name}: a vertex has no numeric X and Y ({error})") from None


def layers(root: Element, name: str) -> list[tuple[str, NDArray[np.float64]]]:
    """The label of its layer, and the outline, of each region in document order."""
    found = []
    for layer in root.iter("Annotation"):
        attribute = layer.find("Attributes/Attribute")
        label = "" if attribute is None else attribute.get("Name", "").strip()
        found += [(label, outline) for outline in outlines(layer, name)]
    return found
