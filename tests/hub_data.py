"""Small harmonised datasets for the tests of the Hub, from fakes in their true layout."""

from pathlib import Path

import pytest
from fakes import glas, monuseg

from cerberus_bench.loaders.images import decode_rgb, encode_rgb
from cerberus_bench.workflows.harmonize import harmonize


@pytest.fixture(scope="session")
def glas_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return glas.write(tmp_path_factory.mktemp("glas-source"))


@pytest.fixture(scope="session")
def monuseg_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose licence lets pixels be passed on."""
    source = monuseg.write(tmp_path_factory.mktemp("monuseg-source"))
    out = tmp_path_factory.mktemp("monuseg") / "monuseg"
    harmonize("monuseg", source, out, allow_partial=True)
    return out


@pytest.fixture(scope="session")
def glas_folder(glas_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose licence does not."""
    out = tmp_path_factory.mktemp("glas") / "glas"
    harmonize("glas", glas_source, out, allow_partial=True)
    return out


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of ours, and an empty working folder."""
    monkeypatch.setenv("CERBERUS_BENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def change_first_image(path: Path) -> None:
    """One pixel of the first record of a parquet file; all else stays as it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    rows = table.to_pylist()
    image = decode_rgb(rows[0]["image"]["bytes"], "image").copy()
    image[0, 0] ^= 255
    rows[0]["image"]["bytes"] = encode_rgb(image)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
