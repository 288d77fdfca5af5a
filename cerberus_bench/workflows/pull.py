"""Datasets on the Hub: where they are, and their rows or recipe on this disk."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_bench.hub import HubPlace, looks_like_place, parse_place, place_of
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole

if TYPE_CHECKING:
    from cerberus_bench.hub.pull import PulledDataset
    from cerberus_bench.hub.recipe import PulledRecipe
    from cerberus_bench.schema.dataset import DatasetSpec

NO_RECIPE = "none"
"""Harmonise without comparing with a recipe."""


def hub_place(name: str, revision: str | None = None) -> HubPlace | None:
    """Where a dataset is on the Hub; None for names that are not there.

    Args:
        name: `[hf:]ORG/NAME[@revision]`, or a dataset of the registry, `NAME[@revision]`.
        revision: branch, tag or commit; None = that of `name`, else the pinned commit.

    Raises:
        DataError: a revision is asked for of a dataset that is not published, or two are.
    """
    if looks_like_place(name):
        place = parse_place(name)
        return HubPlace(place.repo, _one_revision(name, place.revision, revision))
    base, _, own = name.partition("@")
    spec = known_spec(base)
    if spec is None or (spec.synthetic and revision is None):
        return None  # what stands behind @ is a variant of the phantom
    wanted = _one_revision(name, own or None, revision)
    if spec.hub:
        repo, pinned = spec.hub
        return HubPlace(repo, wanted or pinned)
    if wanted:
        raise DataError(
            f"{base} is not published on the Hub, so it has no revision {wanted!r}."
            f" {spec.how_to_get} Then run `cerberus-bench harmonize {base} --source PATH`."
        )
    return None


def known_spec(name: str) -> "DatasetSpec | None":
    """The spec of a dataset of the registry; None for other names."""
    from cerberus_bench.loaders import registry

    return registry.get(name).spec if name in registry.names() else None


def named_spec(name: str) -> "DatasetSpec | None":
    """The spec of `NAME[@revision]`; None for a place on the Hub."""
    return None if looks_like_place(name) else known_spec(name.partition("@")[0])


def require_licence(name: str) -> None:
    """Refuse to pull a dataset by its name before its licence was accepted.

    Raises:
        DataError: it was not accepted yet.
    """
    from cerberus_bench.loaders import licences

    spec = named_spec(name)
    if spec and not licences.is_accepted(spec):
        raise DataError(
            f"{spec.name} is on the Hub and was not pulled yet. `cerberus-bench download {name}`"
            " shows its licence; once it is accepted, this works by itself."
        )


def _one_revision(name: str, own: str | None, given: str | None) -> str | None:
    if own and given and own != given:
        raise DataError(f"{name} and revision={given!r} ask for two revisions; give one")
    return given or own


def pull(place: HubPlace) -> "PulledDataset":
    """A dataset on the Hub on this disk; where it is a recipe, `harmonize` will compare with it.

    Raises:
        DataError: there is no such place, it is gated, was tampered with, or is not of this suite.
        HubError: the Hub cannot be reached, and the place was not pulled before.
    """
    from cerberus_bench.hub.dataset_release import Form
    from cerberus_bench.hub.pull import pull_dataset

    pulled = pull_dataset(place)
    if pulled.form is Form.RECIPE:
        _remember(pulled)
    return pulled


def pull_rows(place: HubPlace) -> Path:
    """The harmonised folder of a dataset on the Hub.

    Raises:
        DataError: it is a recipe, without rows; or as `pull`.
        HubError: as `pull`.
    """
    from cerberus_bench.hub.dataset_release import Form
    from cerberus_bench.hub.recipe import read_recipe

    pulled = pull(place)
    if pulled.form is Form.PIXELS:
        return pulled.folder
    recipe = read_recipe(pulled.folder, str(pulled.place)).recipe
    raise DataError(
        f"{place} holds the recipe of {recipe.name} and no pixels, because {recipe.licence} does"
        f" not let them be passed on. {recipe.how_to_get} Then run `cerberus-bench harmonize"
        f" {recipe.name} --source PATH --recipe {pulled.place}` and use data/{recipe.name}."
    )


def hub_facts(folder: Path) -> dict[str, str]:
    """Repository and commit of a folder that was pulled, for the provenance of a result."""
    from cerberus_bench.hub.places import DATA_REPO, DATA_REVISION

    place = place_of(folder)
    return {DATA_REPO: place.repo, DATA_REVISION: str(place.revision)} if place else {}


def copy_rows(folder: Path, out: Path) -> None:
    """Copy a pulled dataset to a folder of its own, which appears whole or not at all.

    Raises:
        DataError: `out` holds something else.
    """
    from cerberus_bench.loaders.folders import check_replaceable, whole_folder
    from cerberus_bench.loaders.metadata import read_metadata

    check_replaceable(out, read_metadata(folder).name)
    with whole_folder(out) as draft:
        shutil.copytree(folder, draft, dirs_exist_ok=True)


def find_recipe(name: str, recipe: str | None) -> "PulledRecipe | None":
    """The recipe that a rebuilt dataset is compared with.

    Args:
        name: dataset.
        recipe: place on the Hub, or folder; `none` for none; None = the one that was pulled last.

    Raises:
        DataError: there is no recipe there.
        HubError: the Hub cannot be reached.
    """
    from cerberus_bench.hub.pull import pull_dataset
    from cerberus_bench.hub.recipe import read_recipe

    if recipe == NO_RECIPE:
        return None
    if recipe and Path(recipe).is_dir():
        return read_recipe(Path(recipe), recipe)
    place = parse_place(recipe) if recipe else _remembered(name)
    if place is None:
        return None
    pulled = pull_dataset(place)
    return read_recipe(pulled.folder, str(pulled.place))


def _remember(pulled: "PulledDataset") -> None:
    from cerberus_bench.hub.recipe import read_recipe

    path = _memory(read_recipe(pulled.folder, str(pulled.place)).recipe.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        draft.write_text(json.dumps(str(pulled.place)) + "\n", encoding="utf-8")


def _remembered(name: str) -> HubPlace | None:
    path = _memory(name)
    return parse_place(json.loads(path.read_bytes())) if path.is_file() else None


def _memory(name: str) -> Path:
    from cerberus_bench.loaders.folders import cache_folder
    from cerberus_bench.loaders.registry import get

    return cache_folder() / "recipes" / f"{get(name).spec.name}.json"
