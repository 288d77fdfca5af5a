"""Who may meet whom: components of records, their folds and splits, and the check for leakage.

Records joined through a group (patient, slide) or an origin (ancestral image) form a component. A
component has exactly one fold of three, over all datasets: Lizard's official one where it speaks
(`fold_table.csv`), else a stable hash of the component's name. So a model trained on fold 1 and 2
of every dataset has not seen fold 3 of any, even where datasets re-use each other's images.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cerberus_bench.loaders.fold_table import FoldRow, fold_table
from cerberus_bench.schema.errors import DataError

if TYPE_CHECKING:
    from cerberus_bench.schema.result import Contamination, TrainedOn

FOLDS = (1, 2, 3)
STORED_FOLD = 3
"""The fold that is the test split in a harmonised table as stored."""
SPLITS = ("train", "validation", "test")
VALIDATION_SHARE = 7
"""One component in this many, of those outside the test fold, is validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordKey:
    """What decides where a record belongs, without its pixels."""

    sample_id: str
    group: str
    origins: tuple[str, ...]
    official_split: str | None = None
    fold: int | None = None
    split: str | None = None


def components_of(keys: Sequence[RecordKey]) -> list[str]:
    """The component of each record, named by its alphabetically first group.

    The name does not depend on which other records of the component are present, as long as the
    component has one group, which it has in every dataset that ships with this package.
    """
    forest = _forest(keys)
    names: dict[str, str] = {}
    for group in sorted({key.group for key in keys} | {row.group for row in fold_table()}):
        names.setdefault(forest.root(group), group)
    return [names[forest.root(key.group)] for key in keys]


def folds_of(keys: Sequence[RecordKey], components: Sequence[str]) -> list[int]:
    """The fold (1 to 3) of each record.

    Raises:
        DataError: the fold table puts parts of one component into different folds.
    """
    known = _table_folds()
    told: dict[str, set[int]] = {}
    for key, component in zip(keys, components, strict=True):
        folds = {known[m] for m in (component, key.group, *key.origins) if m in known}
        told.setdefault(component, set()).update(folds)
    torn = sorted(component for component, folds in told.items() if len(folds) > 1)
    if torn:
        raise DataError(
            f"the fold table puts records of {torn[0]} into folds {sorted(told[torn[0]])}. Records"
            " that share a patient or an image must share a fold: correct fold_table.csv."
        )
    return [next(iter(told[c]), None) or hashed_fold(c) for c in components]


def hashed_fold(component: str) -> int:
    """The fold of a component of which the fold table says nothing."""
    return FOLDS[_stable_hash("fold", component) % len(FOLDS)]


def splits_of(folds: Sequence[int], components: Sequence[str], test_fold: int) -> list[str]:
    """train, validation or test for each record when `test_fold` is held out.

    Validation is the components of the other folds whose hash falls into one seventh. In a small
    set none or all may fall there: then it is the one component of smallest hash, so that both
    train and validation hold something wherever there are two components. With a single component
    outside the test fold there is no validation split.
    """
    rest = {c for c, fold in zip(components, folds, strict=True) if fold != test_fold}
    ranked = sorted(rest, key=lambda c: (_stable_hash("validation", c), c))
    chosen = {c for c in rest if _stable_hash("validation", c) % VALIDATION_SHARE == 0}
    if not chosen or chosen == rest:
        chosen = set(ranked[:1]) if len(rest) > 1 else set()
    return [
        "test" if fold == test_fold else "validation" if component in chosen else "train"
        for component, fold in zip(components, folds, strict=True)
    ]


def shared_groups(trained_on: "Iterable[TrainedOn]", keys: Sequence[RecordKey]) -> list[str]:
    """Groups of the records that meet, through any group or origin, what a model has seen."""
    forest = _forest(keys)
    seen = {forest.root(m) for part in trained_on for m in (*part.groups, *part.origins)}
    return sorted({key.group for key in keys if forest.root(key.group) in seen})


def shared_images(trained_on: "Iterable[TrainedOn]", keys: Sequence[RecordKey]) -> list[str]:
    """Records whose very image a model has seen, with the name that it had there if another."""
    seen = {origin for part in trained_on for origin in part.origins}
    named = []
    for key in keys:
        own = [origin for origin in key.origins if origin in seen]
        if own:
            here = key.sample_id.partition("@")[0]
            elsewhere = [origin for origin in own if origin != here]
            named.append(key.sample_id + (f" ({', '.join(elsewhere)})" if elsewhere else ""))
    return sorted(named, key=natural_order)


def held_out(keys: Sequence[RecordKey], test_fold: int) -> list[str]:
    """Records that share a patient or an image with what the fold table of this version tests on.

    Args:
        keys: records, whatever their own folds or roles.
        test_fold: the fold that is held out as test.

    Returns:
        Their sample ids, in order.
    """
    known = _table_folds()
    components = components_of(keys)
    held = {
        component
        for key, component in zip(keys, components, strict=True)
        for member in (component, key.group, *key.origins)
        if known.get(member) == test_fold
    }
    return [k.sample_id for k, c in zip(keys, components, strict=True) if c in held]


def refuse_test_fold(keys: Sequence[RecordKey], test_fold: int) -> None:
    """Refuse training records that the fold table of this version tests on.

    Splits as stored keep to the table, unless a folder was made by another version or elsewhere.

    Raises:
        DataError: there are such records; names them.
    """
    leaking = held_out(keys, test_fold)
    if leaking:
        more = f" and {len(leaking) - 5} more" if len(leaking) > 5 else ""
        raise DataError(
            f"fold {test_fold} tests on patients or images of {', '.join(leaking[:5])}{more}, so"
            " they may not be trained on. Their folder has other folds than this version: harmonise"
            " the source again."
        )


def check_contamination(
    trained_on: "Sequence[TrainedOn] | None",
    keys: Sequence[RecordKey],
    *,
    official_part: str | None = None,
    official_shared: Sequence[str] = (),
) -> "Contamination":
    """Whether a result on these records can be trusted to be on unseen tissue.

    Args:
        trained_on: what the model has seen; None where it is not known.
        keys: the records that are scored.
        official_part: name of the source's own part, where that was asked for.
        official_shared: groups that this part shares with the source's own training part. They
            mark the result whatever the model, because such a part measures seen patients.
    """
    # pydantic is not worth its wait to those who only list datasets
    from cerberus_bench.schema.result import Contamination

    own = shared_groups(trained_on, keys) if trained_on is not None else []
    images = shared_images(trained_on, keys) if trained_on is not None else []
    shared = sorted({*own, *official_shared}, key=natural_order)
    reasons = []
    if official_shared:
        reasons.append(
            f"official:{official_part} shares {_groups(len(official_shared))} with the training"
            " part of the source's own split"
        )
    if own:
        same = f", {len(images)} of the images themselves" if images else ""
        reasons.append(f"the model was trained on {_groups(len(own))} of those scored here{same}")
    elif trained_on is None:
        reasons.append("what the model was trained on is not known")
    status = "contaminated" if shared else "unknown" if trained_on is None else "clean"
    return Contamination.model_validate(
        {
            "status": status,
            "shared": shared,
            "images": images,
            "reason": "; ".join(reasons) or "no group or origin in common with the training data",
        }
    )


def _groups(n: int) -> str:
    return f"{n} group{'s' if n != 1 else ''}"


def official_overlap(groups: dict[str, Sequence[str]]) -> dict[str, list[str]]:
    """Official part -> groups that it shares with the official train part, for parts that do."""
    train = set(groups.get("train", ()))
    overlap = {
        part: sorted(train.intersection(members), key=natural_order)
        for part, members in groups.items()
        if part != "train"
    }
    return {part: members for part, members in overlap.items() if members}


def natural_order(name: str) -> list[str | int]:
    """Sort key under which `patient-2` comes before `patient-10`."""
    parts = re.split("([0-9]+)", name)  # text and digits take turns, so keys compare
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _table_folds() -> dict[str, int]:
    return {member: row.fold for row in fold_table() for member in (row.origin, row.group)}


def _stable_hash(purpose: str, component: str) -> int:
    digest = hashlib.sha256(f"{purpose}:{component}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


class _Forest:
    """Disjoint sets of names."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, name: str) -> str:
        parent = self._parent.setdefault(name, name)
        while parent != self._parent[parent]:
            self._parent[name] = self._parent[parent]
            name, parent = parent, self._parent[parent]
        return parent

    def join(self, one: str, other: str) -> None:
        self._parent[self.root(one)] = self.root(other)


def _forest(keys: Iterable[RecordKey]) -> _Forest:
    forest = _Forest()
    rows: tuple[FoldRow, ...] = fold_table()
    for row in rows:
        forest.join(row.origin, row.group)
    for key in keys:
        for origin in key.origins:
            forest.join(origin, key.group)
    return forest
