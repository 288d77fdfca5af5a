"""Networks of ours, ready to run in one way or another."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cerberus_bench.hub import PREFIX, parse_place
from cerberus_bench.model_zoo.options import RunOptions
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import Prediction
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.result import Inference, ModelInfo
from cerberus_bench.schema.running import Backend, Parity

if TYPE_CHECKING:
    from cerberus_bench.model_zoo.backends import Network
    from cerberus_bench.model_zoo.checkpoint import LoadedModel

RANDOM = "random:"


@dataclass(frozen=True, slots=True)
class NetworkPredictor:
    """A network with its card, ready to run."""

    loaded: "LoadedModel"
    options: RunOptions
    network: "Network"

    @property
    def info(self) -> ModelInfo:
        """Model facts from the card, and how it runs."""
        options = self.options
        inference = Inference(
            mode=options.mode,
            precision=options.precision,
            backend=options.backend,
            device=self.loaded.device.type,
        )
        parity = _parity(self.loaded, inference.variant)
        stated = inference.model_copy(update={"parity": parity})
        return self.loaded.info().model_copy(update={"inference": stated})

    @property
    def label_spaces(self) -> Mapping[str, LabelSpace]:
        """Label spaces from the card."""
        return self.loaded.label_spaces

    def predict(self, record: Record, tasks: Collection[str]) -> Prediction:
        """Run the network at its own mpp and map what it finds back to the record's grid."""
        from cerberus_bench.model_zoo.runner import predict_image

        return predict_image(
            self.loaded,
            record.image,
            record.mpp,
            sample_id=record.sample_id,
            tasks=tasks,
            options=self.options,
            network=self.network,
        )


def network_predictor(loaded: "LoadedModel", options: RunOptions) -> NetworkPredictor:
    """Make a network ready to run.

    Raises:
        DataError: the backend is not installed.
    """
    from cerberus_bench.model_zoo.backends import make_network

    return NetworkPredictor(loaded, options, make_network(loaded, options))


def load_network(name: str, *, backend: Backend = "torch") -> "LoadedModel":
    """A network on the device that the backend runs on: the GPU, where torch finds one.

    Args:
        name: zoo name, model file, `hf:ORG/NAME[@revision]` or `random:<zoo name>`.
        backend: what is to compute it.

    Raises:
        DataError: there is no such model, or the file is refused.
        HubError: the Hub cannot be reached, and the model was not pulled before.
    """
    from cerberus_bench.model_zoo import load_model, untrained
    from cerberus_bench.model_zoo.precision import choose_device

    if name.startswith(RANDOM):
        loaded = untrained(name.removeprefix(RANDOM))
    elif name.startswith(PREFIX):
        from cerberus_bench.hub.model_release import pull_model

        loaded = load_model(pull_model(parse_place(name)))
    else:
        loaded = load_model(name)
    return loaded.to(choose_device("auto" if backend == "torch" else "cpu"))


def parity_warning(info: ModelInfo) -> str | None:
    """What to tell of a way of running that nobody showed to agree with exact fp32 torch."""
    parity = info.inference.parity if info.inference else None
    if parity is None or parity == "passed":
        return None
    found = "that it leaves the stated bounds" if parity == "failed" else "nothing of how far it is"
    return (
        f"{info.name} runs as {info.variant}, not as exact fp32 torch, and its card says {found}."
        " What is written says so too. Measure it with `cerberus-bench parity`."
    )


def _parity(loaded: "LoadedModel", variant: str) -> Parity | None:
    if not variant:
        return None
    reports = loaded.card.parity if loaded.card else []
    return next((r.verdict for r in reports if r.variant == variant), "unmeasured")
