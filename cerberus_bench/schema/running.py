"""The ways to run a network. Without pydantic, so that the command line starts light."""

from typing import Literal

Mode = Literal["exact", "fast"]
"""exact: the windows of the model's card; fast: larger ones."""
Precision = Literal["fp32", "bf16"]
"""Number type of the network; probabilities are float32 either way."""
Backend = Literal["torch", "openvino"]
"""What computes the network."""
Parity = Literal["passed", "failed", "unmeasured"]
"""Whether predictions are within stated bounds of those of exact fp32 torch."""
SHARD_PX = 4096
"""Side of the squares in which a slide is worked through, px at the model's resolution: what a
crash costs at most, and some 0.5 GB of maps."""
