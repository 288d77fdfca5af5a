"""Faults that a spec lists: found where they are, a failure where a corrected source lost them."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import cpm, glas, lizard, monusac, monuseg
from PIL import Image
from source_helpers import real
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.loaders.audit import audit_tables
from cerberus_bench.loaders.registry import get, specs
from cerberus_bench.loaders.table import ALL, open_table
from cerberus_bench.schema.dataset import FaultKind, KnownFault
from cerberus_bench.workflows.audit import audit
from cerberus_bench.workflows.harmonize import harmonize

SHOWN = {
    "glas": (glas.write, ("testB_1", "testB_18", "testB_19", "train_1")),
    "lizard": (lizard.write, ()),
    "cpm15": (cpm.write15, ()),
    "monuseg": (monuseg.write, ()),
    "monusac": (monusac.write, ()),
}
"""Source -> its fake with the faults, and the records to write of it (all where none is named)."""


def harmonised(name: str, source: Path, out: Path) -> Path:
    harmonize(name, source, out / name, allow_partial=True)
    return out / name


def complete(folder: Path) -> Path:
    """The folder as if no image of the source were missing."""
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"missing": {}}))
    return folder


def states(folder: Path) -> dict[str, str]:
    """Sentence of a fault -> found, gone or absent."""
    return {check.fault.text: check.state for check in audit([str(folder)]).known_faults}


@pytest.mark.parametrize("name", SHOWN)
def test_fakes_show_the_faults(name: str, tmp_path: Path) -> None:
    write, records = SHOWN[name]
    if name == "glas":
        patients = {"testB_1": "3", "testB_18": "2", "testB_19": "2", "train_1": "2"}
        source = glas.write(tmp_path / "source", records, patients)
    else:
        source = write(tmp_path / "source")
    found = states(harmonised(name, source, tmp_path))
    assert "found" in found.values()
    assert "gone" not in found.values()


def test_a_corrected_source_fails_the_audit(tmp_path: Path) -> None:
    source = cpm.write15(tmp_path / "source", exchanged=False)
    folder = harmonised("cpm15", source, tmp_path)
    assert set(states(folder).values()) == {"absent"}  # 11 images are missing: nothing is known
    done = CliRunner().invoke(app, ["audit", str(complete(folder)), "--json"])
    assert done.exit_code == 1
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure.startswith("cpm15 no longer shows: masks read from the file of the other image")


def test_a_part_that_no_longer_leaks_fails_the_audit(tmp_path: Path) -> None:
    source = monusac.write(tmp_path / "source")
    folder = complete(harmonised("monusac", source, tmp_path))
    said = states(folder)
    assert [said[t] for t in sorted(said)] == ["found", "gone"]  # A2-A0ES is there, MP-A4T7 is not


def test_faults_of_records_and_pairs(tmp_path: Path) -> None:
    """Every kind is found on its record, gone from another, absent where that is not here."""
    source = glas.write(tmp_path / "source")
    (folder,) = (path.parent for path in source.rglob("Grade.csv"))
    for record in ("train_1", "train_2"):  # the same picture twice
        (folder / f"{record}.bmp").write_bytes((folder / "train_3.bmp").read_bytes())
    labels = np.zeros(glas.SHAPE, np.uint8)
    labels[5:9, 5:9], labels[5:9, 20:24], labels[30, 30:32] = 1, 1, 2
    Image.fromarray(labels).save(folder / "train_1_anno.bmp")
    Image.fromarray(np.zeros(glas.SHAPE, np.uint8)).save(folder / "train_10_anno.bmp")
    table = open_table(harmonised("glas", source, tmp_path), split=ALL)

    def state(kind: FaultKind, record: str, other: str = "") -> str:
        task = "" if kind is FaultKind.DUPLICATE else "gland"
        fault = KnownFault(kind, "it", record=record, task=task, other=other)
        (check,) = audit_tables([table], {"glas": [fault]}).known_faults
        return check.state

    assert state(FaultKind.MULTI_PART, "train_1") == "found"
    assert state(FaultKind.SPECK, "train_1") == "found"
    assert state(FaultKind.EMPTY, "train_10") == "found"
    assert state(FaultKind.DUPLICATE, "train_1", "glas/train_2") == "found"
    assert state(FaultKind.MULTI_PART, "train_2") == "gone"
    assert state(FaultKind.EMPTY, "train_1") == "gone"
    assert state(FaultKind.DUPLICATE, "train_1", "glas/testB_1") == "gone"
    assert state(FaultKind.MULTI_PART, "train_77") == "absent"
    assert state(FaultKind.DUPLICATE, "train_1", "crag/train_1") == "absent"


def test_listed_faults_say_where() -> None:
    for spec in specs():
        for fault in spec.known_faults:
            assert fault.text, spec.name
            if fault.kind is FaultKind.OFFICIAL_LEAK:
                assert fault.record in spec.official_leaks, (spec.name, fault.text)
                assert fault.other
            elif fault.kind is not FaultKind.NOTE:
                assert fault.record, (spec.name, fault.text)


def test_real_glas_and_monuseg_show_theirs(tmp_path: Path) -> None:
    sources = {
        "glas": real("warwick_qu_dataset_released_2016_07_08.zip"),
        "monuseg": real("MoNuSeg 2018 Training Data.zip"),
    }
    for name, source in sources.items():
        reader = get(name)
        assert set(states(harmonised(name, source, tmp_path)).values()) == {"found"}
        assert reader.spec.known_faults
