"""A network as slides are read with it."""

from dataclasses import dataclass

from cerberus_bench.model_zoo.backends import Network, make_network
from cerberus_bench.model_zoo.checkpoint import LoadedModel
from cerberus_bench.model_zoo.options import RunOptions
from cerberus_bench.model_zoo.runner import outputs_of
from cerberus_bench.model_zoo.tiling import Tiling
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.plan import PlannedModel

TASKS = ("nuclei", "gland", "lumen")
"""Tasks with objects; `tissue` is a class at places."""


@dataclass(frozen=True, slots=True)
class SlideModel:
    """A network and all that decides what it says of a slide."""

    network: Network
    outputs: tuple[str, ...]
    """Of the network, those that slides need."""
    tiling: Tiling
    """Of the windows; the lattice of a slide is made from it."""
    windows_a_batch: int
    """The last batch is filled up with black windows, so that every batch has one shape."""
    planned: PlannedModel
    """What a plan says of it."""


def ready_model(loaded: LoadedModel, options: RunOptions) -> SlideModel:
    """A network made ready for slides from what can be sent to another machine.

    Raises:
        DataError: the backend is not installed.
    """
    return slide_model(loaded, options, make_network(loaded, options))


def slide_model(loaded: LoadedModel, options: RunOptions, network: Network) -> SlideModel:
    """Prepare a network of ours for slides.

    Args:
        loaded: the model.
        options: how it is run.
        network: what `make_network` gave for them.

    Raises:
        DataError: it predicts nothing that is looked for on slides.
    """
    found = [task for task in (*TASKS, "tissue") if task in loaded.label_spaces]
    if not found:
        raise DataError(
            f"{loaded.name} predicts {', '.join(loaded.label_spaces)}, and slides are read for"
            f" {', '.join(TASKS)} and tissue. Give a model of one of these."
        )
    tiling = options.tiling(loaded)
    dense = [name for task in TASKS if task in found for name in outputs_of(loaded, task)]
    outputs = (*dense, "tissue") if "tissue" in found else tuple(dense)
    return SlideModel(
        network=network,
        outputs=outputs,
        tiling=tiling,
        windows_a_batch=max(1, options.batch_px // tiling.window_px**2),
        planned=PlannedModel(
            name=loaded.name,
            sha256=loaded.file_sha256,
            mpp=loaded.mpp,
            label_spaces={task: list(loaded.label_spaces[task].classes) for task in found},
            mode=options.mode,
            precision=options.precision,
            backend=options.backend,
            device=loaded.device.type,
        ),
    )
