"""The whole registry: all sources are there, and what each one's fake becomes opens again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import test_sources_colon
import test_sources_organs
from fakes import consep, glas, monuseg
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.loaders import registry
from cerberus_bench.loaders.audit import audit_tables
from cerberus_bench.loaders.table import ALL, open_table
from cerberus_bench.schema.dataset import Access
from cerberus_bench.workflows.harmonize import harmonize

FAKES: dict[str, Callable[[Path], Path]] = {
    "glas": glas.write,
    "consep": consep.write,
    "monuseg": monuseg.write,
    **{name: case.write for name, case in test_sources_colon.CASES.items()},
    **{name: case.write for name, case in test_sources_organs.CASES.items()},
}
WANTED = {
    *("lizard", "conic", "glas", "crag", "digestpath_signet", "digestpath_tissue"),
    *("nct_crc_he_100k", "nct_crc_he_100k_nonorm", "crc_val_he_7k", "kather2016", "consep"),
    *("pannuke", "monuseg", "kumar", "tnbc", "cryonuseg", "nuinsseg", "monusac", "cpm15", "cpm17"),
    *("crchistophenotypes", "nucls", "bcss", "panoptils", "puma", "ocelot", "midogpp", "dsb2018"),
    *("segpath", "ebhi_seg", "wsss4luad", "cerberus_private"),
}


def listed() -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(app, ["list", "datasets", "--json"])
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_the_list_names_every_source_once() -> None:
    rows = listed()
    assert len(WANTED) >= 30
    assert set(rows) >= WANTED | {"phantom"}
    assert tuple(rows) == (*registry.names(), registry.FOLDER)
    assert all(row["how_to_get"] and row["evidence"] for row in rows.values())
    assert {name for name, row in rows.items() if not row["citation"]} == {registry.FOLDER}


def test_every_source_has_a_fake() -> None:
    assert set(FAKES) == set(registry.names()) - {registry.PHANTOM}


def test_state_says_how_to_come_to_the_files() -> None:
    states = {name: row["state"] for name, row in listed().items()}
    assert states["phantom"] == Access.EMBEDDED
    assert states["glas"] == Access.GATED
    assert states["kather2016"] == Access.PUBLIC
    unreleased = [name for name, state in states.items() if state == Access.UNRELEASED]
    assert unreleased == ["cerberus_private"]
    assert listed()["cerberus_private"]["images"] is None


@pytest.mark.parametrize("name", FAKES)
def test_fake_harmonises_opens_and_passes_the_audit_machinery(name: str, tmp_path: Path) -> None:
    spec = registry.get(name).spec
    source, out = FAKES[name](tmp_path / "source"), tmp_path / "data" / name
    done = harmonize(name, source, out, allow_partial=True)
    assert done.n_records > 0
    table = open_table(out, split=ALL)
    records = list(table)
    assert len(records) == done.n_records
    assert {task for record in records for task in record.coverage} <= set(spec.tasks)
    if spec.tasks:
        assert any(record.coverage for record in records)
    assert {record.licence for record in records} == {spec.licence.id}
    report = audit_tables([table], {name: spec.known_faults})
    assert len(report.known_faults) == len(spec.known_faults)
    (entry,) = report.datasets
    assert sum(entry.n_records.values()) == done.n_records
