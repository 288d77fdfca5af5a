"""`export` of a slide: its objects for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.schema.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS_NAME = "objects.parquet"
NAMES = {
    "qupath": "objects.geojson.gz",
    "sqlite": "objects.db",
    "spatialdata": "spatialdata.zarr",
    "ome-zarr": "labels.ome.zarr",
}
"""Format -> name of what is written beside the objects."""


def export_slide(slide: Path, form: str, out: Path | None = None) -> dict[str, Any]:
    """Write the objects of a slide in another format.

    Args:
        slide: the slide's folder in what `predict` wrote, or its `objects.parquet`.
        form: a key of `NAMES`.
        out: what to write; beside the objects if None.

    Returns:
        out, format, objects (how many).

    Raises:
        DataError: there are no objects, or `out` exists.
    """
    objects = slide / OBJECTS_NAME if slide.is_dir() else slide
    if not objects.is_file():
        raise DataError(
            f"{slide} holds no {OBJECTS_NAME}: it is no slide, or one that is not finished. Give a"
            " folder that `cerberus-bench predict` wrote for a slide."
        )
    target = out or objects.with_name(NAMES[form])
    if target.exists():
        raise DataError(f"{target} exists. Name another with --out.")
    target.parent.mkdir(parents=True, exist_ok=True)
    return {"out": str(target), "format": form, "objects": _writer(form)(objects, target)}


def _writer(form: str) -> "Callable[[Path, Path], int]":
    if form == "qupath":
        from cerberus_bench.slides.geojson import write_geojson

        return write_geojson
    if form == "sqlite":
        from cerberus_bench.slides.sqlite_store import write_sqlite

        return write_sqlite
    if form == "spatialdata":
        from cerberus_bench.slides.spatialdata import write_spatialdata

        return write_spatialdata
    from cerberus_bench.slides.ome_zarr import write_ome_zarr

    return write_ome_zarr
