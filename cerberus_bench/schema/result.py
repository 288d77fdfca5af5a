"""ResultRecord: one evaluation as strict, versioned JSON. Results are read without any registry."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import STRICT, ScoreReport

RESULT_SCHEMA_VERSION = 1
MAX_RESULT_BYTES = 20_000_000


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


class ModelInfo(BaseModel):
    """Which model was scored."""

    model_config = STRICT

    name: str
    file_sha256: str | None
    """Hash of the model file; None for predictions made elsewhere."""
    architecture: str | None = None
    tasks: list[str]
    kind: Literal["single", "multi"]
    parameters: int | None = Field(default=None, ge=0)
    seed: int | None = None
    trained_on: list[TrainedOn] | None
    """None where it is not known."""


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
    mpp: float = Field(gt=0)
    synthetic: bool
    n_images: int = Field(ge=0)


class Contamination(BaseModel):
    """Whether the scored data meets what the model was trained on."""

    model_config = STRICT

    status: Literal["clean", "contaminated", "unknown"]
    shared: list[str]
    """Groups or origins on both sides."""
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
        """`<model>/<sha12>/<dataset>@<rev8>/<split>.json` below a results folder."""
        sha = (self.model.file_sha256 or "predictions")[:12]
        split = self.data.split.replace(":", "-") + f"-fold{self.data.fold}"
        return Path(
            _safe(self.model.name),
            sha,
            f"{_safe(self.data.name)}@{self.data.fingerprint[:8]}",
            f"{_safe(split)}.json",
        )

    def to_json(self) -> str:
        """Canonical JSON, with a last newline."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False)
        return text + "\n"


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "_"


def read_result(path: Path) -> ResultRecord:
    """Read one result file strictly.

    Raises:
        DataError: the file is too large, no JSON, of another version, has unknown or missing
            fields, or NaN anywhere. Invariants of the scores are checked by the eval wing.
    """
    if path.stat().st_size > MAX_RESULT_BYTES:
        raise DataError(f"{path}: larger than {MAX_RESULT_BYTES} bytes; this is no result file")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if isinstance(raw, dict) and raw.get("schema_version") != RESULT_SCHEMA_VERSION:
            raise DataError(
                f"{path}: schema_version is {raw.get('schema_version')!r}; this version of"
                f" cerberus-bench reads {RESULT_SCHEMA_VERSION}. Evaluate again, or install the"
                " version that wrote it."
            )
        return ResultRecord.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: {place or 'file'}: {first['msg']} (got {first['input']!r:.80}). The file was"
            " changed or written by something else; evaluate again."
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a JSON result file: {error}") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed; an undefined value is null")
