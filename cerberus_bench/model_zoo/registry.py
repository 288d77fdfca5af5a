"""The models that can be made by name. Nothing here imports torch until a model is made."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import BOX_CHANNELS, NetworkSpec, OutputSpec

if TYPE_CHECKING:
    from cerberus_bench.model_zoo.cerberus import Cerberus

OUTPUTS = (
    OutputSpec("nuclei.instance", 3),
    OutputSpec("nuclei.type", 7),
    OutputSpec("gland.instance", 3),
    OutputSpec("gland.type", 3),
    OutputSpec("lumen.instance", 3),
    OutputSpec("tissue", 9),
)
"""Outputs of the published network; instance maps hold background, inner, contour."""

ADDED = (OutputSpec("signet_ring.box", BOX_CHANNELS),)
"""Outputs that the published network lacks; any network can be made with them on request."""

TRANSFORMERS = "cerberus-transformers:"
"""Before a folder or a repository of the Hub: the network around a backbone of transformers."""

WEIGHTS = Path(__file__).parent / "weights"
"""Weights that ship with the package, one `<name>.safetensors` a model."""

TASKS = tuple(dict.fromkeys(output.task for output in (*OUTPUTS, *ADDED)))
DEPTHS = (3, 4, 6, 3)
SIZES = {
    "resnet34": NetworkSpec(DEPTHS, (64, 128, 256, 512), head_width=96, outputs=OUTPUTS),
    "resnet18": NetworkSpec((2, 2, 2, 2), (64, 128, 256, 512), head_width=96, outputs=OUTPUTS),
    "resnet50": NetworkSpec(
        DEPTHS, (64, 128, 256, 512), head_width=96, outputs=OUTPUTS, block="bottleneck"
    ),
    "tiny": NetworkSpec(DEPTHS, (16, 32, 64, 128), head_width=24, outputs=OUTPUTS),
}


def _models() -> dict[str, NetworkSpec]:
    models = {f"cerberus-{size}": spec for size, spec in SIZES.items()}
    for task in TASKS:
        for size, spec in SIZES.items():
            models[f"single-{task}-{size}"] = restrict(spec, [task])
    return models


def shipped_weights(name: str) -> Path | None:
    """File of the weights that ship with the package under a zoo name; None where there are none.

    The names are those of `MODELS`; weights of other names are files of the user.
    """
    path = WEIGHTS / f"{name}.safetensors"
    return path if name in MODELS and path.is_file() else None


def restrict(spec: NetworkSpec, tasks: Iterable[str]) -> NetworkSpec:
    """The same trunk with the outputs of some tasks only.

    Args:
        spec: a network.
        tasks: names of tasks (`gland`: all its outputs) or of single outputs (`gland.instance`),
            of those that the network has or of `ADDED`.

    Raises:
        DataError: nothing is asked for, or something that the network cannot have.
    """
    wanted = set(tasks)
    possible = (*spec.outputs, *(output for output in ADDED if output not in spec.outputs))
    outputs = tuple(o for o in possible if o.task in wanted or o.name in wanted)
    known = {name for output in possible for name in (output.task, output.name)}
    if not outputs or wanted - known:
        asked = ", ".join(sorted(wanted - known or wanted)) or "no task"
        raise DataError(f"cannot build {asked}. Choose from: {', '.join(sorted(known))}.")
    return replace(spec, outputs=outputs)


MODELS = _models()
"""Architecture of every model that `create` knows, by name."""


def architecture(name: str) -> NetworkSpec:
    """Return the shape of a named model.

    Args:
        name: a name in `MODELS`, or `cerberus-transformers:SOURCE`; see `create`.

    Raises:
        DataError: there is no such model.
    """
    source = transformers_source(name)
    if source is not None:
        from cerberus_bench.model_zoo.transformers_encoder import find_source, read_backbone

        return replace(SIZES["resnet34"], backbone=read_backbone(find_source(source)))
    try:
        return MODELS[name]
    except KeyError:
        raise DataError(
            f"no model is called {name!r}. Choose from: {', '.join(MODELS)}, {TRANSFORMERS}SOURCE."
        ) from None


def transformers_source(name: str) -> str | None:
    """Where the backbone of `cerberus-transformers:SOURCE` comes from; None for other names."""
    return name.removeprefix(TRANSFORMERS) if name.startswith(TRANSFORMERS) else None


def create(name: str, tasks: Iterable[str] | None = None, *, pretrained: bool = True) -> "Cerberus":
    """Return a network with random weights, in training mode.

    Args:
        name: a name in `MODELS`, such as `cerberus-resnet34`; or `cerberus-transformers:SOURCE`,
            the decoders of that on a backbone of the library transformers. SOURCE is a folder
            with its config.json, or ORG/NAME[@REVISION] of the Hub, fetched before.
        tasks: these tasks (`gland`) or outputs (`gland.instance`), also `ADDED` ones
            (`signet_ring`); those of the name when None.
        pretrained: take the weights that lie beside the configuration of a transformers backbone,
            from safetensors alone; a folder of a configuration alone has none.

    Raises:
        DataError: unknown name or task, or no backbone and weights that can be opened.
    """
    from cerberus_bench.model_zoo.cerberus import Cerberus

    spec = architecture(name)
    model = Cerberus(spec if tasks is None else restrict(spec, tasks))
    source = transformers_source(name)
    if source is not None and pretrained:
        from cerberus_bench.model_zoo.transformers_encoder import TransformersEncoder, find_source

        assert isinstance(model.encoder, TransformersEncoder)
        model.encoder.load_weights(find_source(source))
    return model
