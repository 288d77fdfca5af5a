"""`audit`: duplicates, leakage and odd objects in harmonised folders."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.catalogue import LOCAL
from cerberus_bench.workflows.data import find_data
from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.loaders.audit_report import AuditReport, DuplicateSet, TaskAudit
    from cerberus_bench.loaders.table import Table
    from cerberus_bench.schema.dataset import KnownFault

__all__ = ["AuditReport", "DuplicateSet", "TaskAudit", "audit"]


def audit(
    names: Sequence[str] = (), *, html: Path | None = None, progress: Progress | None = None
) -> "AuditReport":
    """Look at every record of some datasets, and compare all with all.

    Args:
        names: harmonised folders, or names that `load` knows; all folders below `data/` if none.
        html: file for a page with pictures of what was found.
        progress: how far it is.

    Raises:
        DataError: there is no such dataset, or nothing below `data/`; a record is damaged.
    """
    from cerberus_bench.loaders.audit import audit_tables

    tables = [table for name in names or _local() for table in _open(name)]
    report = audit_tables(tables, _faults({table.name for table in tables}), progress)
    if html:
        from cerberus_bench.workflows.audit_page import write_audit_page

        write_audit_page(report, tables, html)
    return report


def _local() -> list[str]:
    folders = sorted(str(path.parent) for path in LOCAL.glob("*/dataset.json"))
    if not folders:
        raise DataError(
            f"there is no harmonised dataset below {LOCAL}/. Name a folder, or make one with"
            " `cerberus-bench harmonize`."
        )
    return folders


def _open(name: str) -> "list[Table]":
    """A dataset with all its splits; the phantom has a folder for each."""
    from cerberus_bench.loaders.load import data_folder
    from cerberus_bench.loaders.registry import PHANTOM, get
    from cerberus_bench.loaders.table import ALL, open_table

    if name.partition("@")[0] != PHANTOM:
        return [open_table(data_folder(find_data(name), split=ALL), split=ALL)]
    splits = get(name).spec.expected_images
    return [open_table(data_folder(name, split=split), split=split) for split in splits]


def _faults(names: Iterable[str]) -> "dict[str, tuple[KnownFault, ...]]":
    from cerberus_bench.loaders import registry

    known = set(registry.names())
    return {name: registry.get(name).spec.known_faults for name in names if name in known}
