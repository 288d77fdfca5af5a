"""GeoJSON of annotation tools: features with an outline and properties."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cerberus_bench.loaders.outlines import Outline, one_outline
from cerberus_bench.loaders.text_files import parse_json
from cerberus_bench.schema.errors import DataError


def parse_features(document: bytes, name: str) -> list[dict[str, Any]]:
    """The features of a FeatureCollection, or of a plain list of them.

    Raises:
        DataError: it is no JSON, or holds no list of features.
    """
    content = parse_json(document, name)
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list) or not all(isinstance(f, dict) for f in features):
        raise DataError(f"{name} is no GeoJSON with features. Obtain it again.")
    return features


def outline_of(feature: Mapping[str, Any], name: str, what: str) -> Outline:
    """The outline of a Polygon or MultiPolygon, holes and parts included.

    Args:
        feature: one of `parse_features`.
        name: how to speak of the file.
        what: what the feature should be, such as `a nucleus`.

    Raises:
        DataError: it has another geometry, or coordinates that are no finite numbers.
    """
    geometry = feature.get("geometry") or {}
    kind = str(geometry.get("type")) if isinstance(geometry, dict) else "no geometry"
    try:
        parts = {"Polygon": lambda c: [c], "MultiPolygon": list}[kind](geometry["coordinates"])
        rings = [np.array(ring, np.float64).reshape(-1, 2) for part in parts for ring in part]
        if not rings or not all(np.isfinite(ring).all() for ring in rings):
            raise ValueError("it has no finite coordinates")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{name}: {what} has no outline ({kind}: {error}); expected a Polygon or"
            " MultiPolygon. Obtain it again."
        ) from None
    return one_outline(rings)


def property_of(feature: Mapping[str, Any], path: str) -> str | None:
    """A property by its path, such as `classification.name`; None where it is not there."""
    value: Any = feature.get("properties")
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return None if value is None else str(value)
