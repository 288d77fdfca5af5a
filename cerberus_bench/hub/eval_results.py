"""Our results in the two forms in which the Hub shows scores of a model.

`.eval_results/*.yaml` feeds the boards of benchmark datasets, `model-index` the page of the model.
Both hold the headline scores; the result records hold all of them.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cerberus_bench.hub.places import DATA_REPO, DATA_REVISION, HubPlace
from cerberus_bench.loaders import registry
from cerberus_bench.pictures.wording import AVERAGING_NAMES, metric_name, task_name
from cerberus_bench.schema.report import Score
from cerberus_bench.schema.result import ResultRecord

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, EvalResultEntry

FOLDER = ".eval_results"

_TASK_TYPES = {"tissue": "image-classification", "signet_ring": "object-detection"}
_SEGMENTATION = "image-segmentation"


def dataset_place(result: ResultRecord) -> HubPlace:
    """Repository and commit of the dataset of a result.

    As the result says, else as the dataset is published; of one that is not, its plain name.
    """
    repo = result.provenance.get(DATA_REPO)
    if repo:
        return HubPlace(repo, result.provenance.get(DATA_REVISION))
    name, _, variant = result.data.name.partition("@")
    spec = registry.get(name).spec if name in registry.names() and not variant else None
    if spec and spec.hub and spec.version == result.data.version:
        return HubPlace(*spec.hub)
    return HubPlace(result.data.name)


def headlines(result: ResultRecord) -> list[Score]:
    """The scores that are shown: defined headlines over all classes."""
    return [
        score
        for score in result.report.scores
        if score.headline and score.value is not None and score.class_name is None
    ]


def eval_result_files(results: Iterable[ResultRecord]) -> dict[str, bytes]:
    """Path in the repository -> YAML, one file a result."""
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    files = {}
    for result in results:
        entries = list(_entries(result))
        if entries:
            data = eval_result_entries_to_yaml(entries)
            text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
            files[f"{FOLDER}/{_stem(result)}.yaml"] = text.encode()
    return files


def _stem(result: ResultRecord) -> str:
    """Two last parts of the result's own path, as one name: `<dataset>@<rev8>-<split>`."""
    path = result.relative_path()
    return f"{path.parent.name}-{path.stem}"


def _entries(result: ResultRecord) -> Iterator["EvalResultEntry"]:
    from huggingface_hub import EvalResultEntry

    place = dataset_place(result)
    for score in headlines(result):
        yield EvalResultEntry(
            dataset_id=place.repo,
            dataset_revision=place.revision,
            task_id=f"{score.task}_{score.metric}",
            value=score.value,
            date=result.created_utc,
            notes=_notes(result, score),
        )


def model_index(results: Iterable[ResultRecord]) -> list["EvalResult"]:
    """The older form, for the metadata of a model card."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=_TASK_TYPES.get(score.task, _SEGMENTATION),
            dataset_type=dataset_place(result).repo,
            dataset_name=f"{result.data.name} {result.data.version}",
            dataset_split=result.data.split,
            dataset_revision=dataset_place(result).revision,
            dataset_args={"fold": result.data.fold, "fingerprint": result.data.fingerprint},
            metric_type=f"{score.task}_{score.metric}",
            metric_name=metric_text(result, score),
            metric_config=score.convention,
            metric_value=score.value,
        )
        for result in results
        for score in headlines(result)
    ]


def metric_text(result: ResultRecord, score: Score) -> str:
    """Task and metric of a score, and how the model was run where that was not the usual way."""
    name = f"{task_name(score.task)} {metric_name(score.metric)}"
    return f"{name} ({result.model.variant})" if result.model.variant else name


def _notes(result: ResultRecord, score: Score) -> str:
    data, report = result.data, result.report
    notes = [
        f"{metric_text(result, score)}, convention {score.convention},"
        f" {AVERAGING_NAMES[score.averaging]}",
        f"split {data.split}, fold {data.fold}, fingerprint {data.fingerprint[:12]}",
        f"{score.n_images} images of {score.n_groups} groups",
        f"protocol {report.protocol_version}",
    ]
    if score.unit:
        notes.append(f"in {score.unit}")
    if score.low is not None and score.high is not None:
        notes.append(f"95 % interval {score.low:.4g} to {score.high:.4g}")
    if data.synthetic:
        notes.append("synthetic images")
    if result.contamination.status != "clean":
        notes.append(f"{result.contamination.status}: {result.contamination.reason}")
    return "; ".join(notes)
