"""`list`: what there is - datasets, models, tasks."""

from pathlib import Path
from typing import Any

from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.model import NetworkSpec
from cerberus_bench.schema.tasks import INSTANCE_TASKS, TASKS

LOCAL = Path("data")
"""Where `harmonize` writes unless told otherwise."""
YOURS = "yours"
"""What is the user's own to know and to decide."""


def datasets(task: str | None = None) -> list[dict[str, Any]]:
    """One row a dataset that annotates `task` (any where None), then images of the user's own."""
    from cerberus_bench.loaders import registry

    rows = [*map(_dataset, registry.specs()), _own_images()]
    return [row for row in rows if task is None or task in row["tasks"]]


def datasets_markdown() -> str:
    """All datasets as the page docs/datasets.md."""
    from cerberus_bench.loaders import registry
    from cerberus_bench.workflows.datasets_page import datasets_page

    return datasets_page(registry.specs())


def _dataset(spec: DatasetSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "tasks": list(spec.tasks),
        "images": spec.n_images or None,
        "objects": dict(spec.expected_objects),
        "mpp": spec.mpp,
        "licence": spec.licence.id,
        "redistribution": str(spec.licence.redistribution),
        "evidence": str(spec.evidence),
        "state": _state(spec),
        "how_to_get": spec.how_to_get,
        "citation": list(spec.citation),
    }


def _own_images() -> dict[str, Any]:
    """The row of `harmonize folder`, of which nothing but the way is known before."""
    from cerberus_bench.loaders.registry import FOLDER

    return {
        "name": FOLDER,
        "title": "Images and annotations of your own",
        "tasks": [*INSTANCE_TASKS, "tissue"],
        "images": None,
        "objects": {},
        "mpp": None,
        "licence": YOURS,
        "redistribution": YOURS,
        "evidence": YOURS,
        "state": YOURS,
        "how_to_get": "Describe them by a dataset.toml beside them (docs/folder.md); then"
        " `cerberus-bench harmonize folder --source DIR`.",
        "citation": [],
    }


def _state(spec: DatasetSpec) -> str:
    """`ready` where it lies harmonised below `data/`, else how to come to it (`Access`)."""
    is_here = not spec.synthetic and (LOCAL / spec.name / "dataset.json").exists()
    return "ready" if is_here else str(spec.access)


def models_markdown() -> str:
    """The models that come with the suite, as the page docs/models.md."""
    from cerberus_bench.workflows.model_cards import models_page

    return models_page()


def models(task: str | None = None) -> list[dict[str, Any]]:
    """One row a model that predicts `task` (any where None): the zoo, then the baselines.

    `card` says of models that come with the suite what a reader should know, None of others.
    """
    from cerberus_bench.model_zoo.classical import CLASSICAL
    from cerberus_bench.model_zoo.registry import MODELS
    from cerberus_bench.workflows.model_cards import model_cards

    cards = {card.name: {"What": card.opening, **card.facts} for card in model_cards()}
    wanted = {name: spec for name, spec in MODELS.items() if task is None or task in spec.tasks}
    rows = [_model(name, spec) for name, spec in wanted.items()] + [
        {
            "name": name,
            "tasks": [model.task],
            "outputs": [f"{model.task}.instance"],
            "parameters": 0,
            "gflop": 0.0,
            "weights": "needs none",
            "description": model.description,
        }
        for name, model in CLASSICAL.items()
        if task in (None, model.task)
    ]
    return [{**row, "card": cards.get(row["name"])} for row in rows]


def _model(name: str, spec: NetworkSpec) -> dict[str, Any]:
    from cerberus_bench.model_zoo.cost import network_cost
    from cerberus_bench.model_zoo.registry import shipped_weights

    cost = network_cost(spec)
    return {
        "name": name,
        "tasks": list(spec.tasks),
        "outputs": [output.name for output in spec.outputs],
        "parameters": cost.parameters,
        "gflop": round(cost.gflop, 1),
        "weights": "shipped" if shipped_weights(name) else "random",
    }


def tasks() -> list[dict[str, Any]]:
    """One row a task."""
    return [
        {
            "name": task.name,
            "kind": str(task.kind),
            "classes": list(task.labels.classes),
            "description": task.description,
        }
        for task in TASKS.values()
    ]
