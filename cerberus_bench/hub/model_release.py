"""A model file as a release: the file as it is, its card, and the scores it was given."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cerberus_bench.hub.client import Kind
from cerberus_bench.hub.eval_results import (
    FOLDER,
    dataset_place,
    eval_result_files,
    headlines,
    metric_text,
    model_index,
)
from cerberus_bench.hub.places import HubPlace
from cerberus_bench.hub.publish import LocalFile, Release, Target
from cerberus_bench.hub.pull import snapshot
from cerberus_bench.pictures.wording import task_name, value_text
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import ModelCard
from cerberus_bench.schema.result import ModelInfo, ResultRecord

KIND: Kind = "model"
CARD_NAME = "README.md"
STEM = "model"
SUFFIXES = (".safetensors", ".pt")


def pull_model(place: HubPlace) -> Path:
    """The model file of a repository.

    Raises:
        DataError: there is no such repository or revision, or not exactly one model file in it.
        HubError: the Hub cannot be reached, and the model was not pulled before.
    """
    folder = snapshot(place, KIND, [f"*{suffix}" for suffix in SUFFIXES])
    found = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{place} must hold one model file, .safetensors or .pt; found: {names}")
    return found[0]


def model_release(
    file: Path,
    card: ModelCard,
    info: ModelInfo,
    results: Sequence[ResultRecord],
    target: Target,
) -> Release:
    """A model file, its card, and its headline scores in both forms.

    Args:
        file: the model file; its bytes are kept, so that results that name its hash stay its own.
        card: of the file.
        info: of the model.
        results: of this very file.
        target: where it goes.

    Raises:
        DataError: a result is of another file.
    """
    for result in results:
        if result.model.file_sha256 != info.file_sha256:
            raise DataError(
                f"a result of {result.model.name} on {result.data.name} is of the file"
                f" {result.model.file_sha256}, not of {file} ({info.file_sha256})"
            )
    text = {
        CARD_NAME: model_card(card, info, results, target.repo).encode(),
        **eval_result_files(results),
    }
    return Release(
        target=target,
        kind=KIND,
        files={
            f"{STEM}{file.suffix}": LocalFile(file),
            **{path: LocalFile(content) for path, content in text.items()},
        },
        message=f"{card.name}, {len(results)} results",
        owned=(f"{FOLDER}/",),
        foreign=tuple(f"{STEM}{suffix}" for suffix in SUFFIXES if suffix != file.suffix),
        loose=(CARD_NAME, f"{FOLDER}/"),
    )


def model_card(card: ModelCard, info: ModelInfo, results: Sequence[ResultRecord], repo: str) -> str:
    """README.md of a model repository."""
    from huggingface_hub import ModelCard as HubCard
    from huggingface_hub import ModelCardData

    facts = ModelCardData(
        **_licence(card.licence),
        library_name="cerberus-bench",
        pipeline_tag="image-segmentation",
        tags=["histology", "pathology", info.kind + "-task", *card.tasks],
        datasets=_datasets(results) or None,
        model_name=card.name,
        eval_results=model_index(results) or None,
    )
    body = (_opening(card, info, repo), _outputs(card), _training(card), _scores(results))
    return str(HubCard(f"---\n{facts.to_yaml()}\n---\n\n" + "\n".join(body)))


def _licence(licence: str | None) -> dict[str, Any]:
    if licence is None:
        return {}
    if licence.startswith("LicenseRef-"):
        return {"license": "other", "license_name": licence.removeprefix("LicenseRef-").lower()}
    return {"license": licence.lower()}


def _datasets(results: Iterable[ResultRecord]) -> list[str]:
    """Repositories of the datasets scored on; a plain name is no repository."""
    repos = {dataset_place(result).repo for result in results}
    return sorted(repo for repo in repos if "/" in repo)


def _opening(card: ModelCard, info: ModelInfo, repo: str) -> str:
    licence = card.licence or "not stated"
    size = f"{info.parameters:,} parameters, " if info.parameters else ""
    return (
        f"# {card.name}\n\nA {info.kind}-task model of {', '.join(map(task_name, card.tasks))} in"
        f" histology images: {card.architecture}, {size}trained at {card.mpp} microns per pixel."
        f" Licence of the weights: {licence}.\n\n"
        f"```bash\ncerberus-bench eval hf:{repo} --data NAME\n```\n\n"
        "The file holds weights and a card, and opening it runs no code.\n"
    )


def _outputs(card: ModelCard) -> str:
    rows = [[task_name(task), ", ".join(names)] for task, names in card.label_spaces.items()]
    return "## What it predicts\n\n" + _table(("task", "classes"), rows)


def _training(card: ModelCard) -> str:
    head = "## What it was trained on\n\n"
    if card.trained_on is None:
        return head + "Not known, so its scores may be of images that it has seen.\n"
    if not card.trained_on:
        return head + "Nothing: the weights are random.\n"
    rows = [
        [t.dataset, t.version, t.split, f"fold {t.fold} held out", f"{len(t.groups)} groups"]
        for t in card.trained_on
    ]
    seed = "" if card.seed is None else f"\nSeed {card.seed}."
    commit = card.provenance.get("commit")
    code = f" Code: {commit}." if commit else ""
    return (
        head + _table(("dataset", "version", "split", "test", "groups"), rows) + seed + code + "\n"
    )


def _scores(results: Sequence[ResultRecord]) -> str:
    if not results:
        return "## Scores\n\nNone were published with it.\n"
    header = ("dataset", "split", "score", "value", "95 % interval", "seen in training")
    rows = [
        [
            f"{result.data.name} {result.data.version}",
            f"{result.data.split}, fold {result.data.fold}",
            metric_text(result, score),
            value_text(score),
            "" if score.low is None else f"{score.low:.3f} to {score.high:.3f}",
            {"clean": "no", "contaminated": "yes"}.get(result.contamination.status, "unknown"),
        ]
        for result in results
        for score in headlines(result)
    ]
    return "## Scores\n\n" + _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )
