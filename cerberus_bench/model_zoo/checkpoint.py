"""Model files: weights and a card, opened without ever running code from the file.

A `.pt` file is `torch.save({"card": JSON, "state_dict": tensors})`, opened with
`weights_only=True`; a `.safetensors` file has the card as metadata.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import safetensors.torch
import torch
from torch import Tensor, nn

from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.folding import folded
from cerberus_bench.model_zoo.published import PUBLISHED_ARCHITECTURE, published_network
from cerberus_bench.model_zoo.registry import (
    MODELS,
    architecture,
    create,
    shipped_weights,
    transformers_source,
)
from cerberus_bench.model_zoo.state_files import parse_state, parse_torch, plain_tensor, read_bytes
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.model import (
    ModelCard,
    NetworkSpec,
    OutputSpec,
    check_label_spaces,
    label_space,
    read_card,
)
from cerberus_bench.schema.result import ModelInfo, TrainedOn
from cerberus_bench.schema.tasks import TARGET_MPP, TASKS

PROBE_SIDE = 64
INFERENCE_WINDOW = {PUBLISHED_ARCHITECTURE: (448, 152)}
"""Architecture -> window and margin of the published pipeline, px; others use the next line."""
DEFAULT_WINDOW = (640, 64)
BACKBONE_WINDOW = (448, 64)
"""Of transformers, which see the whole window: near the side that they are trained on."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network in evaluation mode and what is known of it."""

    model: nn.Module
    inference: nn.Module
    """The same function for prediction only, with batch normalisation folded away."""
    name: str
    label_spaces: Mapping[str, LabelSpace]
    """Task -> classes; its keys are the tasks that the model predicts."""
    mpp: float
    window_px: int
    margin_px: int
    card: ModelCard | None
    """None for a module of the user's own."""
    file_sha256: str | None
    """Hash of the file's bytes; None where there is no file."""

    @property
    def device(self) -> torch.device:
        """Where it runs; the CPU for a module without parameters."""
        return next(self.inference.parameters(), torch.empty(0)).device

    def to(self, device: str | torch.device) -> "LoadedModel":
        """The same model on a device; modules are moved, not copied."""
        return replace(self, model=self.model.to(device), inference=self.inference.to(device))

    def info(self) -> ModelInfo:
        """Model facts for a result record."""
        tasks = list(self.label_spaces)
        card = self.card
        return ModelInfo(
            name=self.name,
            file_sha256=self.file_sha256,
            architecture=card.architecture if card else None,
            tasks=tasks,
            kind="multi" if len(tasks) > 1 else "single",
            parameters=sum(p.numel() for p in self.model.parameters()),
            seed=card.seed if card else None,
            trained_on=card.trained_on if card else None,
            budget=card.budget if card else None,
        )


def default_label_spaces(spec: NetworkSpec) -> dict[str, list[str]]:
    """Task -> classes of the published network; one class, the root, for a task without types."""
    typed = {output.task for output in spec.outputs if not output.name.endswith(".instance")}
    roots = {"nuclei": "cell", "gland": "glandular", "lumen": "lumen"}
    return {
        task: list(TASKS[task].labels.classes) if task in typed else [roots[task]]
        for task in spec.tasks
    }


def make_card(
    model: Cerberus,
    arch: str,
    *,
    name: str | None = None,
    trained_on: list[TrainedOn] | None = None,
    **fields: Any,
) -> ModelCard:
    """Card of a network, with the published label spaces and windows unless told otherwise.

    Args:
        model: the network; its spec goes into the card.
        arch: name in the zoo that it was made by.
        name: name of these weights, the architecture's when None.
        trained_on: what it has seen; None = unknown.
        fields: any other field of `ModelCard`.

    Raises:
        DataError: the fields do not fit the network.
    """
    usual = DEFAULT_WINDOW if model.spec.backbone is None else BACKBONE_WINDOW
    window, margin = INFERENCE_WINDOW.get(arch, usual)
    given = {
        "name": name or arch,
        "architecture": arch,
        "network": model.spec,
        "label_spaces": default_label_spaces(model.spec),
        "window_px": window,
        "margin_px": margin,
        "trained_on": trained_on,
        **fields,
    }
    try:
        return ModelCard(**given)
    except ValueError as error:
        raise DataError(f"the card of {arch} is not valid: {error}") from error


def save_model(path: str | Path, model: Cerberus, card: ModelCard, *, half: bool = False) -> Path:
    """Write a model file; it appears under its name only when it is complete.

    Args:
        path: ends in `.pt` or `.safetensors`.
        model: weights to save.
        card: its card.
        half: store float16, half the bytes; loading gives float32 again.

    Raises:
        DataError: another suffix, or a card of another network.
    """
    path = Path(path)
    if card.network != model.spec:
        raise DataError(f"{path}: the card is of another network than the one to save.")
    state = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu()
        for key, value in model.state_dict().items()
    }
    _write_model(path, state, card)
    return path


def replace_card(path: Path, card: ModelCard) -> None:
    """Write a model file again with another card; its weights stay as they are stored.

    Raises:
        DataError: the file is no model file, or its weights are of another network than the card.
    """
    state, _ = parse_state(path, read_bytes(path))
    _fill(path, card.network, state)
    _write_model(path, state, card)


def _write_model(path: Path, state: Mapping[str, Tensor], card: ModelCard) -> None:
    text = card.model_dump_json()
    if path.suffix == ".safetensors":
        data = safetensors.torch.save(
            {key: value.contiguous() for key, value in state.items()}, {"card": text}
        )
    elif path.suffix == ".pt":
        buffer = io.BytesIO()
        torch.save({"card": text, "state_dict": dict(state)}, buffer)
        data = buffer.getvalue()
    else:
        raise DataError(f"{path}: a model file ends in .pt or .safetensors.")
    _write_whole(path, data)


def load_model(name: str | Path, *, arch: str | None = None) -> LoadedModel:
    """Open a model file, or the packaged weights of a zoo name.

    Args:
        name: a zoo name, or a `.pt` or `.safetensors` file.
        arch: architecture for a file without a card; the published label spaces are assumed.

    Raises:
        DataError: there is no such file or weights, the file could run code, it has no card and
            `arch` is not given, or weights and card do not fit.
    """
    path = locate_model(name)
    data = read_bytes(path)
    state, text = parse_state(path, data)
    card = _assumed_card(path, arch) if text is None else read_card(text, str(path))
    model = _fill(path, card.network, state)
    return _loaded(model, card, hashlib.sha256(data).hexdigest())


def untrained(arch: str, seed: int = 0) -> LoadedModel:
    """A network of the zoo with random weights: what any training has to beat.

    Args:
        arch: name in the zoo.
        seed: of the weights.

    Raises:
        DataError: there is no such architecture.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create(arch, pretrained=False)
    card = make_card(model, arch, name=f"random:{arch}", trained_on=[], seed=seed)
    return _loaded(model, card, None)


def load_published(path: str | Path) -> Cerberus:
    """Network from the Cerberus authors' `weights.tar`, of all or some of its tasks.

    Raises:
        DataError: the file is absent, could run code, or is not that checkpoint.
    """
    path = Path(path)
    return published_network(parse_torch(path, read_bytes(path))).eval()


def wrap_module(name: str, module: nn.Module) -> LoadedModel:
    """Take a user's module with the forward of `create` for a model.

    Its outputs are found by one forward pass over a black image. It may carry `label_spaces`
    (task -> class names; the published ones otherwise) and `mpp`.

    Raises:
        DataError: the module has no such forward, or its outputs do not fit the label spaces.
    """
    outputs = _probe(name, module)
    spec = NetworkSpec((1, 1, 1, 1), (1, 1, 1, 1), 1, outputs)
    names = getattr(module, "label_spaces", None)
    try:
        spaces = {
            task: label_space(task, list(classes))
            for task, classes in (names or default_label_spaces(spec)).items()
        }
        check_label_spaces(outputs, spaces)
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{name}: {error}. Give the module an attribute label_spaces = {{task: [class, ...]}}."
        ) from error
    window, margin = DEFAULT_WINDOW
    mpp = float(getattr(module, "mpp", TARGET_MPP))
    module.eval()
    return LoadedModel(module, module, name, spaces, mpp, window, margin, None, None)


def _loaded(model: Cerberus, card: ModelCard, sha256: str | None) -> LoadedModel:
    inference = folded(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LoadedModel(
        model=model.eval(),
        inference=inference,
        name=card.name,
        label_spaces=card.spaces(),
        mpp=card.mpp,
        window_px=card.window_px,
        margin_px=card.margin_px,
        card=card,
        file_sha256=sha256,
    )


def _assumed_card(path: Path, arch: str | None) -> ModelCard:
    if arch is None:
        raise DataError(
            f"{path}: the file has no model card. Give its architecture: --arch NAME (arch=NAME), "
            f"one of {', '.join(MODELS)}. Weights of the Cerberus authors: cerberus-bench convert "
            f"{path.name} model.pt."
        )
    with torch.device("meta"):
        return make_card(Cerberus(architecture(arch)), arch, name=path.stem)


def _probe(name: str, module: nn.Module) -> tuple[OutputSpec, ...]:
    try:
        with torch.inference_mode():
            logits = module.eval()(torch.zeros(1, 3, PROBE_SIDE, PROBE_SIDE))
        return tuple(OutputSpec(key, int(value.shape[1])) for key, value in logits.items())
    except Exception as error:
        # A stranger's module may raise anything; the user needs to know which contract it broke.
        raise DataError(
            f"{name}: the module failed on a (1, 3, {PROBE_SIDE}, {PROBE_SIDE}) float image: "
            f"{error}. Its forward must map (N, 3, H, W) in 0..255 to a dict of logits by output "
            "name, as create('cerberus-tiny') does."
        ) from error


def locate_model(name: str | Path) -> Path:
    """File of a zoo name's shipped weights; any other name is a file's own.

    Raises:
        DataError: the zoo has no weights under this name.
    """
    if str(name) not in MODELS and transformers_source(str(name)) is None:
        return Path(name)
    path = shipped_weights(str(name))
    if path is None:
        raise DataError(
            f"{name}: this package has no trained weights of it. Train them (cerberus-bench train "
            f"--arch {name}) or convert published ones, and give the file's path."
        )
    return path


def _fill(path: Path, spec: NetworkSpec, state: Mapping[str, Any]) -> Cerberus:
    """Network of a spec with the weights of a file, shapes checked before memory is taken."""
    with torch.device("meta"):
        model = Cerberus(spec)
    expected = model.state_dict()
    if set(state) != set(expected):
        missing, extra = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
        raise DataError(
            f"{path}: the weights are of another network than its card or --arch says "
            f"({len(missing)} missing such as {missing[:1]}, {len(extra)} unknown such as "
            f"{extra[:1]})."
        )
    weights = {key: plain_tensor(path, key, state[key], expected[key]) for key in expected}
    if spec.backbone is not None:
        # with the buffers that its library computes and keeps out of files
        model = Cerberus(spec)
    model.load_state_dict(weights, assign=True)
    return model


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
