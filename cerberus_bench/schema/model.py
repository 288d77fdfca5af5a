"""What a model file says of itself: the architecture and the card."""

from dataclasses import dataclass

ENCODER_STRIDE = 16
"""Input sides of a network are multiples of this, in px."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One named output of a network, such as `nuclei.type`, and its number of classes."""

    name: str
    n_classes: int

    @property
    def task(self) -> str:
        """Task that the output belongs to: the part of the name before the dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Everything that determines the shape of a Cerberus network."""

    depths: tuple[int, int, int, int]
    """Residual blocks of each encoder stage; (3, 4, 6, 3) is ResNet-34."""
    widths: tuple[int, int, int, int]
    """Channels of each encoder stage; (64, 128, 256, 512) is ResNet-34."""
    head_width: int
    """Hidden channels of a dense head."""
    outputs: tuple[OutputSpec, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the outputs, each once, in order."""
        return tuple(dict.fromkeys(output.task for output in self.outputs))
