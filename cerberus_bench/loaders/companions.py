"""Files of a source that belong together: an image, its labels, its mask."""

from collections.abc import Mapping
from dataclasses import dataclass

from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.loaders.splits import natural_order


@dataclass(frozen=True, slots=True)
class Companions:
    """What belongs together, record by record."""

    files: Mapping[str, Mapping[str, str]]
    """Record -> kind (image, labels ...) -> file; only records that have all that they need."""
    incomplete: tuple[str, ...]
    """One sentence for each record that lacks a file."""


def gather(
    tree: SourceTree, keyed: Mapping[str, tuple[str, str]], needed: Mapping[str, str]
) -> Companions:
    """Put files together by record, in natural order of the records.

    Args:
        tree: where the files are.
        keyed: file -> (record, kind).
        needed: kinds that a record must have -> what to call a missing one, such as `.mat`.

    Raises:
        DataError: two files are of the same kind and record.
    """
    unique_by_key(tree, ((f"{record} ({kind})", name) for name, (record, kind) in keyed.items()))
    found: dict[str, dict[str, str]] = {}
    for name, (record, kind) in keyed.items():
        found.setdefault(record, {})[kind] = name
    files, incomplete = {}, []
    for record in sorted(found, key=natural_order):
        lacking = [called for kind, called in needed.items() if kind not in found[record]]
        if lacking:
            incomplete.append(f"{record} has no {' and no '.join(lacking)}")
        else:
            files[record] = found[record]
    return Companions(files, tuple(incomplete))
