"""Cards of the models that can be evaluated with nothing to obtain, and the page of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cerberus_bench.model_zoo.classical import ClassicalModel
    from cerberus_bench.schema.model import ModelCard
    from cerberus_bench.schema.result import TrainedOn

HEADER = """\
# Models that come with the suite

Cards as `cerberus-bench list models --markdown` prints them; `list models --json` holds them as
`card`. Their results lie in `docs/results`, and [the board](../README.md#the-board-so-far) compares
them. A model that you train or push has such a card inside its file and on the Hub
([how](hub.md#models-and-results)); one known by its predictions says what its authors say of it.
"""
SYNTHETIC_ONLY = (
    "demonstrations, tests, and a place on the board to compare with. It has seen synthetic tissue"
    " alone, so its scores say nothing about tissue of patients."
)


@dataclass(frozen=True, slots=True)
class Card:
    """What a reader should know of a model."""

    name: str
    """As `eval` takes it."""
    opening: str
    """What it is, in a sentence."""
    facts: Mapping[str, str]
    """Term -> text, in the order to show them."""


def model_cards() -> list[Card]:
    """Shipped weights, each with its untrained twin, then the baselines without weights."""
    from cerberus_bench.model_zoo.classical import CLASSICAL
    from cerberus_bench.model_zoo.registry import MODELS, shipped_weights

    cards = []
    for name in MODELS:
        if shipped_weights(name):
            cards += [_shipped(name), _untrained(name)]
    return cards + [_classical(name, model) for name, model in CLASSICAL.items()]


def models_page() -> str:
    """The page docs/models.md."""
    return HEADER + "".join(_section(card) for card in model_cards())


def _section(card: Card) -> str:
    facts = "".join(f"- {term}: {text}\n" for term, text in card.facts.items())
    usage = f"```\ncerberus-bench eval {card.name}\n```\n"
    return f"\n## {card.name}\n\n{card.opening}\n\n{usage}\n{facts}"


def _shipped(name: str) -> Card:
    from cerberus_bench.model_zoo import load_model

    loaded = load_model(name)
    card = loaded.card
    assert card is not None, f"the shipped weights of {name} have no card"
    made = card.provenance
    facts = {
        **_network_facts(card),
        "Trained on": "; ".join(map(_seen, card.trained_on or ())),
        "Made by": f"`{made['command']}`, {made['training_step']:,} steps in {made['minutes']:g}"
        f" minutes, {made['device']} threads: {made['threads']}, code at"
        f" {str(made['commit'])[:12]}, seed {card.seed}",
        "Chosen by": f"its score on the validation split, {card.validation['score']:.3f}; never"
        " by the test split",
        **({"For": SYNTHETIC_ONLY} if _is_synthetic(card) else {}),
        "Licence of the weights": card.licence or "not stated",
        "File": f"`{loaded.file_sha256}` (sha256)",
    }
    opening = f"A Cerberus network ({card.architecture}) for {len(card.tasks)} tasks at once."
    return Card(name, opening, facts)


def _is_synthetic(card: "ModelCard") -> bool:
    from cerberus_bench.loaders import registry

    return all(registry.get(part.dataset).spec.synthetic for part in card.trained_on or ())


def _untrained(name: str) -> Card:
    from cerberus_bench.model_zoo import untrained

    loaded = untrained(name)
    assert loaded.card is not None
    facts = {
        **_network_facts(loaded.card),
        "Trained on": f"nothing: its weights are random, of seed {loaded.card.seed}",
        "For": "the floor of every comparison. What it scores, a score gives to outputs that know"
        " nothing of the image.",
    }
    opening = f"The untrained twin of {name}: the same network, windows and post-processing."
    return Card(loaded.name, opening, facts)


def _network_facts(card: "ModelCard") -> dict[str, str]:
    from cerberus_bench.model_zoo.cost import WINDOW_PX, network_cost

    cost = network_cost(card.network)
    classes = (f"{task} ({', '.join(names)})" for task, names in card.label_spaces.items())
    return {
        "Predicts": "; ".join(classes),
        "Images": f"RGB at {card.mpp:g} microns per pixel; others are resampled to it",
        "Size": f"{cost.parameters:,} parameters, {cost.gflop:.1f} GFLOP a window of"
        f" {WINDOW_PX} px",
    }


def _seen(part: "TrainedOn") -> str:
    return (
        f"{part.dataset} {part.version}, {part.split} (fold {part.fold} held out as test),"
        f" {len(part.groups)} groups"
    )


def _classical(name: str, model: "ClassicalModel") -> Card:
    facts = {
        "Predicts": f"{model.task}, without classes",
        "Images": "RGB at any resolution that is stated; lengths are in microns",
        "Size": "no parameters, no weights",
        "Method": model.method,
        "Trained on": "nothing",
        "Fails": model.limits,
        "For": "what image processing reached before networks; a network should beat it.",
        "Sources": "; ".join(model.references),
        "Licence": "Apache-2.0, as the suite",
    }
    return Card(name, f"{model.description[0].upper()}{model.description[1:]}.", facts)
