"""`push`: a harmonised dataset to the Hub, as its licence allows."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.data import local_data
from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.hub.dataset_release import Form
    from cerberus_bench.hub.publish import Gate, Published
    from cerberus_bench.schema.dataset import DatasetSpec

N_PICTURED = 8
"""Records on the picture of a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """Where a dataset is now."""

    dataset: str
    form: "Form"
    n_records: int
    published: "Published"
    missing: dict[str, int]
    """Official part -> images of the complete source that were not there."""

    @property
    def pin(self) -> tuple[str, str]:
        """What `DatasetSpec.hub` is to say."""
        return (self.published.repo, self.published.commit)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"form": str(self.form), "pin": list(self.pin)}


def push(
    data: str,
    repo: str,
    *,
    form: str | None = None,
    tag: str | None = None,
    private: bool = False,
    gated: "Gate | None" = None,
    progress: Progress | None = None,
) -> Pushed:
    """Publish a harmonised dataset: every record checked, one commit, an immutable tag.

    Args:
        data: a dataset that was harmonised to `data/<name>`, `phantom`, or a harmonised folder.
        repo: ORG/NAME; made if it does not exist. One repository a source.
        form: pixels or recipe; None = pixels where the licence lets them be passed on.
        tag: name of this state, v<version> when None.
        private: make a new repository private.
        gated: let readers ask for access (auto, manual); None leaves it.
        progress: how far the check is.

    Raises:
        LicenceError: pixels are wanted that may not be passed on.
        DataError: there is no such folder, it was changed, the tag holds another state, or the
            repository is for something else.
        HubError: the Hub failed; what was transferred is not sent again.
    """
    from cerberus_bench.hub.dataset_release import (
        Form,
        checked_records,
        form_of,
        pixel_release,
        recipe_release,
    )
    from cerberus_bench.hub.publish import Target, publish
    from cerberus_bench.loaders.metadata import read_metadata
    from cerberus_bench.loaders.registry import get

    folder = _folder(data, progress)
    metadata = read_metadata(folder)
    spec = get(metadata.name).spec
    chosen = form_of(spec, Form(form) if form else None)
    _check_repo(repo, spec)
    records = checked_records(folder, spec, progress)
    target = Target(repo=repo, tag=tag or f"v{spec.version}", private=private, gated=gated)
    if chosen is Form.RECIPE:
        release = recipe_release(folder, spec, target, records)
    else:
        release = pixel_release(folder, spec, target, _picture(folder))
    return Pushed(
        dataset=spec.name,
        form=chosen,
        n_records=len(records),
        published=publish(release),
        missing=metadata.missing,
    )


def _folder(data: str, progress: Progress | None) -> Path:
    """The folder of a dataset; the phantom is made whole, all splits in one folder.

    Raises:
        DataError: there is none.
    """
    from cerberus_bench.loaders.build import harmonise_source
    from cerberus_bench.loaders.folders import cache_folder
    from cerberus_bench.loaders.harmonise import HARMONISER_VERSION
    from cerberus_bench.loaders.metadata import FILE_NAME
    from cerberus_bench.loaders.registry import get

    folder = Path(local_data(data))
    if (folder / FILE_NAME).is_file():
        return folder
    if folder.exists() or len(folder.parts) > 1:
        raise DataError(f"{folder} is not a harmonised dataset (no {FILE_NAME})")
    reader = get(data)
    if not reader.spec.synthetic:
        raise DataError(
            f"{data} is not in data/{data}. {reader.spec.how_to_get} Then run `cerberus-bench"
            f" harmonize {data} --source PATH`, and push again."
        )
    version = f"{reader.spec.name}-{reader.spec.version}-{HARMONISER_VERSION}"
    whole = cache_folder() / "datasets" / version / "all"
    if not (whole / FILE_NAME).is_file():
        harmonise_source(reader, None, whole, progress=progress)
    return whole


def _check_repo(repo: str, spec: "DatasetSpec") -> None:
    """Refuse a repository that holds another dataset; one that is not there yet is fine.

    Raises:
        DataError: it does.
    """
    from cerberus_bench.hub.client import NotOnHubError
    from cerberus_bench.hub.places import HubPlace, parse_place
    from cerberus_bench.hub.pull import read_remote
    from cerberus_bench.hub.recipe import RECIPE_NAME
    from cerberus_bench.loaders.metadata import FILE_NAME

    place = HubPlace(parse_place(repo).repo)
    for name in (FILE_NAME, RECIPE_NAME):
        try:
            found = read_remote(place, "dataset", name)
        except NotOnHubError:
            return
        held = _name_in(found) if found else spec.name
        if held != spec.name:
            raise DataError(
                f"{repo} holds {held}; one repository holds one source. Give another --repo."
            )


def _name_in(content: bytes) -> str:
    try:
        return str(json.loads(content)["name"])
    except (ValueError, KeyError, TypeError):
        return "something else"


def _picture(folder: Path) -> bytes:
    """Previews of records from all over the first split, as one JPEG."""
    import pyarrow.parquet as pq

    from cerberus_bench.loaders.images import decode_rgb, encode_jpeg
    from cerberus_bench.loaders.metadata import read_metadata
    from cerberus_bench.loaders.writer import split_path
    from cerberus_bench.pictures.sheet import contact_sheet

    first = next(iter(read_metadata(folder).splits))
    column = pq.read_table(split_path(folder, first), columns=["preview"])["preview"]
    # by the golden ratio: even steps would meet the same class again and again
    places = {int(i * 0.618034 % 1 * len(column)) for i in range(N_PICTURED)}
    chosen = column.take(sorted(places)).to_pylist()
    images = [decode_rgb(one["bytes"], f"{folder}: preview") for one in chosen]
    return encode_jpeg(contact_sheet(images, columns=4))
