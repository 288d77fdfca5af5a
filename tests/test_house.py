"""The arrows of the house: who may import whom, and how light an import is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cerberus_bench"
WINGS = {"loaders", "eval", "model_zoo"}

MAY_IMPORT: dict[str, set[str]] = {
    "schema": set(),
    "provenance": set(),
    "pictures": {"schema"},
    "loaders": {"schema", "pictures"},
    "eval": {"schema"},
    "model_zoo": {"schema"},
    "slides": {"schema", "pictures", "model_zoo"},
    "leaderboard": {"schema", "eval", "pictures"},
    "hub": {"schema", "pictures", "loaders", "leaderboard"},
    "workflows": {"schema", "pictures", "provenance", "leaderboard", "hub", "slides", *WINGS},
    "cli": {"schema", "workflows"},
    "__init__": {"workflows"},
    "__main__": {"cli"},
}
"""Room -> rooms that it may import, besides itself."""

HEAVY = ("torch", "datasets", "pandas", "sklearn", "skimage", "scipy", "cv2", "pyarrow", "PIL")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {p[1] for p in parts if p[0] == "cerberus_bench" and len(p) > 1} - {"__version__"}


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room} is a new room: say in MAY_IMPORT what it may import"
    assert imported_rooms(path) - {room} <= MAY_IMPORT[room]


def test_rule_sees_a_wrong_arrow(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from cerberus_bench.loaders import table\nimport cerberus_bench.eval.pq\n")
    assert imported_rooms(wrong) == {"loaders", "eval"}


@pytest.mark.parametrize("door", sorted(WINGS))
def test_doors_are_links_into_the_package(door: str) -> None:
    link = ROOT / door
    assert link.is_symlink()
    assert link.readlink() == Path("cerberus_bench") / door


def test_command_line_starts_light() -> None:
    code = "import sys, cerberus_bench.cli; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not set(HEAVY) & set(done.stdout.split())
