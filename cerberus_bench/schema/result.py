"""ResultRecord: one evaluation as strict, versioned JSON. Results are read without any registry."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import STRICT, Count, ScoreReport
from cerberus_bench.schema.running import Backend, Mode, Parity, Precision

RESULT_SCHEMA_VERSION = 1
MAX_RESULT_BYTES = 20_000_000
MAX_COMPONENT = 100
"""Longest file or folder name made from a name in a result, characters."""


class TrainedOn(BaseModel):
    """One dataset that a model has seen, and which part of it."""

    model_config = STRICT

    dataset: str
    version: str
    fingerprint: str
    split: str
    fold: int
    groups: list[str]
    """Groups seen in training and validation, as `<dataset>/<group>`."""
    origins: list[str]
    """Ancestral images seen."""


class TrainingBudget(BaseModel):
    """What a training run was given; the training of weights that it began with not counted."""

    model_config = STRICT

    recipe: str
    """Name of the recipe; its hash is in the card of the model."""
    steps: Count
    windows: Count
    """Windows of records with instances or boxes, over all steps."""
    patches: Count
    """Tissue patches, over all steps."""
    max_minutes: FiniteFloat | None = Field(default=None, gt=0)
    """The run ended after so long, if its steps were not done before; None = no such limit."""

    def __str__(self) -> str:
        seen = {"windows": self.windows, "patches": self.patches}
        drawn = " and ".join(f"{count:,} {name}" for name, count in seen.items() if count)
        text = f"recipe {self.recipe}, {self.steps:,} steps, {drawn or 'nothing drawn'}"
        return text if self.max_minutes is None else f"{text}, or {self.max_minutes:g} minutes"


class Inference(BaseModel):
    """How a network was run."""

    model_config = STRICT

    mode: Mode = "exact"
    precision: Precision = "fp32"
    backend: Backend = "torch"
    device: str = "cpu"
    """Kind of device: cpu, cuda."""
    parity: Parity | None = None
    """What the card of the model says of this way to run it, against exact fp32 torch; None for the
    latter itself."""

    @property
    def variant(self) -> str:
        """What differs from exact fp32 torch, such as `fast-bf16`; empty where nothing does."""
        usual = ("exact", "fp32", "torch")
        chosen = (self.mode, self.precision, self.backend)
        return "-".join(c for c, u in zip(chosen, usual, strict=True) if c != u)


class ModelInfo(BaseModel):
    """Which model was scored."""

    model_config = STRICT

    name: str
    file_sha256: str | None
    """Hash of the model file; None for predictions made elsewhere."""
    architecture: str | None = None
    tasks: list[str]
    kind: Literal["single", "multi"]
    parameters: Count | None = None
    seed: int | None = None
    trained_on: list[TrainedOn] | None
    """None where it is not known."""
    budget: TrainingBudget | None = None
    """None for what no run of ours trained, and in results of versions that did not state it."""
    inference: Inference | None = None
    """None for what is no network of ours, and in results of versions that did not state it, which
    ran exactly, in fp32, by torch."""

    @property
    def variant(self) -> str:
        """How it was run, where that was not exactly, in fp32, by torch: see `Inference`."""
        return self.inference.variant if self.inference else ""


class DataInfo(BaseModel):
    """Which data it was scored on."""

    model_config = STRICT

    name: str
    version: str
    fingerprint: str
    """Hash of the sample ids and truth that were scored."""
    split: str
    """test, or official:<part>."""
    fold: int
    mpp: FiniteFloat = Field(gt=0)
    synthetic: bool
    n_images: Count


class Contamination(BaseModel):
    """Whether the scored data meets what the model was trained on."""

    model_config = STRICT

    status: Literal["clean", "contaminated", "unknown"]
    shared: list[str]
    """Groups or origins on both sides."""
    images: list[str] = []
    """Scored records whose very image was trained on, under this name or that of the dataset that
    it comes from: `lizard/glas_1 (glas/testB_10)`. The others of `shared` are other images of the
    same patient or slide. Empty in results of versions that did not list them."""
    reason: str


class ResultRecord(BaseModel):
    """Scores of one model on one split of one dataset, with all that is needed to trust them."""

    model_config = STRICT

    schema_version: Literal[1] = 1
    model: ModelInfo
    data: DataInfo
    report: ScoreReport
    contamination: Contamination
    provenance: dict[str, str]
    created_utc: str

    def relative_path(self) -> Path:
        """`<model>/<sha12>/<dataset>@<rev8>/<split>.json` below a results folder.

        Where the model was not run exactly, in fp32, by torch: `<split>-<variant>.json`.
        """
        data = self.data
        variant = f"-{self.model.variant}" if self.model.variant else ""
        return Path(
            _safe(self.model.name),
            _safe((self.model.file_sha256 or "no-file")[:12]),
            _safe(f"{data.name}@{data.fingerprint[:8]}"),
            _safe(f"{data.split.replace(':', '-')}-fold{data.fold}") + f"{variant}.json",
        )

    def to_json(self) -> str:
        """Canonical JSON, with a last newline."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False)
        return text + "\n"


def _safe(name: str) -> str:
    """One path component that stays inside its folder, whatever a stranger called things."""
    kept = "".join(c if c.isalnum() or c in "-_.@" else "_" for c in name).lstrip(".")
    return kept[:MAX_COMPONENT] or "_"


def read_result(path: Path) -> ResultRecord:
    """Read one result file strictly.

    Raises:
        DataError: the file is missing, too large, no JSON, of another version, has unknown,
            missing or repeated fields, or NaN anywhere. Invariants of the scores are checked by
            the eval wing.
    """
    raw = _parse(path)
    version = raw.get("schema_version")
    if type(version) is not int or version != RESULT_SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version is {version!r:.80}; this version of cerberus-bench reads"
            f" {RESULT_SCHEMA_VERSION}. Evaluate again, or install the version that wrote it."
        )
    try:
        return ResultRecord.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: {place}: {first['msg']} (got {first['input']!r:.80}). The file was changed"
            " or written by something else; evaluate again."
        ) from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RESULT_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; give the path of a result file") from None
    if len(content) > MAX_RESULT_BYTES:
        raise DataError(f"{path}: larger than {MAX_RESULT_BYTES} bytes; this is no result file")
    try:
        raw = json.loads(
            content.decode("utf-8"),
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeated,
        )
        json.dumps(raw, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be written
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON result file: {error}") from None
    if not isinstance(raw, dict):
        raise DataError(f"{path}: not a JSON result file: holds a {type(raw).__name__}")
    return raw


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed; an undefined value is null")


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError(f"a field is given twice among {[key for key, _ in pairs]}")
    return dict(pairs)
