"""How fast synthetic tissue is made."""

from collections.abc import Iterator

from benchmarks.timing import Row, median_ms
from cerberus_bench.loaders import phantom


def rows() -> Iterator[Row]:
    makers = (phantom.mucosa_scene, phantom.tissue_patch, phantom.signet_ring_scene)
    for make in makers:
        (ms,) = median_ms(lambda make=make: make(1))
        yield Row(f"{make.__name__} ({1000 / ms:.1f} a second)", ms, "none", None, "")
