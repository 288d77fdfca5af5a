"""Synthetic H&E tissue with exact ground truth for every task: the embedded default data.

The same (VERSION, seed, index, variant, training) gives the same bytes on every machine: integers,
exact look-up tables and single rounded float operations on the way to the pixels.
"""

from cerberus_bench.loaders.phantom.randomness import VERSION
from cerberus_bench.loaders.phantom.scene import (
    Scene,
    mucosa_scene,
    signet_ring_scene,
    tissue_patch,
)

__all__ = ["VERSION", "Scene", "mucosa_scene", "signet_ring_scene", "tissue_patch"]
