"""`convert`: the authors' published weights as a model file with a card."""

from pathlib import Path
from typing import Any

from cerberus_bench.provenance import now_utc, provenance
from cerberus_bench.schema.errors import DataError

LICENCE = "CC-BY-NC-SA-4.0"
"""Of the published weights, as their page states it."""


def convert(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Write `checkpoint` (the authors' weights.tar) as our model file.

    What the weights were trained on is not published in a form that could be checked, so the card
    leaves it open, and results of the model are marked so.

    Raises:
        DataError: the checkpoint is absent, could run code, or is not that checkpoint; or `out`
            exists.
    """
    from cerberus_bench.model_zoo.checkpoint import load_published, make_card, save_model
    from cerberus_bench.model_zoo.published import PUBLISHED_ARCHITECTURE

    if out.exists():
        raise DataError(f"{out} exists. Name a file that does not.")
    model = load_published(checkpoint)
    facts: dict[str, Any] = dict(provenance(source=checkpoint.name, created=now_utc()))
    card = make_card(
        model,
        PUBLISHED_ARCHITECTURE,
        name="cerberus-published",
        licence=LICENCE,
        provenance=facts,
    )
    save_model(out, model, card)
    parameters = sum(p.numel() for p in model.parameters())
    return {"model": str(out), "tasks": list(card.tasks), "parameters": parameters}
