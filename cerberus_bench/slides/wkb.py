"""Polygons in well-known binary (OGC 06-103r4, section 8), which every geometry library reads."""

from collections.abc import Iterator

import pyarrow as pa

from cerberus_bench.slides.objects import rings_of

_POLYGON_OF_ONE_RING = b"\x01" + (3).to_bytes(4, "little") + (1).to_bytes(4, "little")
"""Little endian, type 3, one ring."""
_VERTEX_BYTES = 16


def polygons_wkb(geometry: pa.ChunkedArray) -> Iterator[bytes]:
    """Each polygon of a `geometry` column of objects, whose only ring is its outline."""
    vertices, ends = rings_of(geometry)
    content = vertices.astype("<f8").tobytes()
    start = 0
    for end in ends.tolist():
        ring = content[_VERTEX_BYTES * start : _VERTEX_BYTES * end]
        yield _POLYGON_OF_ONE_RING + (end - start).to_bytes(4, "little") + ring
        start = end
