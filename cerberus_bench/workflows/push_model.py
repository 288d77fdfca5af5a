"""`push-model`: a model file to the Hub, with its card and the scores it was given."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.schema.errors import DataError

if TYPE_CHECKING:
    from cerberus_bench.hub.publish import Published
    from cerberus_bench.schema.result import ResultRecord


@dataclass(frozen=True, slots=True)
class PushedModel:
    """Where a model is now."""

    model: str
    results: tuple[str, ...]
    """Dataset and split of each result that was published with it."""
    published: "Published"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def push_model(
    model: str,
    repo: str,
    *,
    results: Path | None = None,
    tag: str | None = None,
    private: bool = False,
) -> PushedModel:
    """Publish a model file as it is, with a card; results of this very file become its scores.

    Args:
        model: a model file with a card, or a zoo name whose weights are shipped.
        repo: ORG/NAME; made if it does not exist.
        results: folder of result records; those of other models are left alone.
        tag: immutable name of this state.
        private: make a new repository private.

    Raises:
        DataError: the file is no model file, a result is not valid, or the tag holds another
            model.
        HubError: the Hub failed; what was transferred is not sent again.
    """
    from cerberus_bench.hub.model_release import model_release
    from cerberus_bench.hub.publish import Target, publish
    from cerberus_bench.model_zoo import load_model

    file = _file(model)
    loaded = load_model(file)
    if loaded.card is None:
        raise DataError(f"{file} has no card, so nobody could tell what it predicts")
    info = loaded.info()
    own = [] if results is None else _of_file(results, info.file_sha256)
    target = Target(repo=repo, tag=tag, private=private)
    release = model_release(file, loaded.card, info, own, target)
    scored = tuple(f"{result.data.name} {result.data.split}" for result in own)
    return PushedModel(loaded.name, scored, publish(release))


def _file(model: str) -> Path:
    from cerberus_bench.model_zoo.registry import MODELS, shipped_weights

    if model not in MODELS:
        return Path(model)
    shipped = shipped_weights(model)
    if shipped is None:
        raise DataError(f"{model}: this package has no trained weights of it; give a model file")
    return shipped


def _of_file(results: Path, file_sha256: str | None) -> list["ResultRecord"]:
    from cerberus_bench.leaderboard.store import read_results

    stored = [one.record for one in read_results(results)]
    return [record for record in stored if record.model.file_sha256 == file_sha256]
