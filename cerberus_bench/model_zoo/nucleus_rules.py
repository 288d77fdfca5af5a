"""The published rules by which nuclei are cut out of a probability map that are numbers.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, inference code.
"""

MASK_MIN_AREA = 8
"""Smaller components of the mask are dropped, px."""
MARKER_MIN_AREA = 4
"""Smaller components of the markers are dropped, px."""
