"""Downloads over a real loopback server: licences, ranges, interruptions, mirrors, wrong bytes."""

import dataclasses
import hashlib
import io
import json
import random
import shutil
import socket
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import NetworkClosedError
from loopback import Behaviour, Server, serving
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.loaders import licences, registry, transfer
from cerberus_bench.loaders.fetch import (
    SUMS_NAME,
    DownloadError,
    FetchedFile,
    GatedError,
    fetch,
    fetch_file,
)
from cerberus_bench.schema.dataset import DatasetSpec, SourceFile
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.download import State, download

DATA = random.Random(1).randbytes(300_000)
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERBERUS_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "to"


def get(to: Path, *urls: str, sha256: str | None = SHA, n_bytes: int | None = None) -> FetchedFile:
    return fetch_file(SourceFile("data.bin", sha256, n_bytes, urls), to)


def only_file(to: Path) -> bytes:
    """The content of the one file there, besides the list of hashes."""
    (path,) = [path for path in to.iterdir() if path.name != SUMS_NAME]
    assert path.name == "data.bin"
    return path.read_bytes()


# one mirror -------------------------------------------------------------------------------------


def test_file_arrives_whole_with_its_hash_noted(server: Server, to: Path) -> None:
    found = get(to, server.put("/a", Behaviour(DATA)))
    assert only_file(to) == DATA
    assert (found.n_bytes, found.sha256, found.is_verified, found.is_new) == (
        *(len(DATA), SHA),
        *(True, True),
    )
    assert (to / SUMS_NAME).read_text() == f"{SHA}  data.bin\n"


def test_progress_is_told_in_bytes(server: Server, to: Path) -> None:
    told: list[tuple[int, int, str]] = []
    file = SourceFile("data.bin", urls=(server.put("/a", Behaviour(DATA)),))
    fetch_file(file, to, lambda *step: told.append(step))
    assert told[0] == (0, len(DATA), "data.bin")
    assert told[-1] == (len(DATA), len(DATA), "data.bin")
    assert [step[0] for step in told] == sorted(step[0] for step in told)


def test_broken_transfer_goes_on_from_where_it_stopped(server: Server, to: Path) -> None:
    asked = Behaviour(DATA, break_after=[100_000, 50_000])
    get(to, server.put("/a", asked), sha256=None)
    assert only_file(to) == DATA
    assert [r.get("range") for r in asked.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert [r.get("if-range") for r in asked.requests] == [None, '"v1"', '"v1"']


def test_next_run_goes_on_too(server: Server, to: Path) -> None:
    asked = Behaviour(DATA, break_after=[1000, *[0] * transfer.TRIES])
    url = server.put("/a", asked)
    with pytest.raises(DownloadError, match=r"broke off after 1000 of 300000 bytes.* kept in"):
        get(to, url)
    asked.requests.clear()
    get(to, url)
    assert only_file(to) == DATA
    assert asked.requests[0]["range"] == "bytes=1000-"


def test_file_that_changed_meanwhile_starts_anew(server: Server, to: Path) -> None:
    asked = Behaviour(b"old" * 1000, break_after=[1000, *[0] * transfer.TRIES])
    url = server.put("/a", asked)
    with pytest.raises(DownloadError):
        get(to, url, sha256=None)
    server.put("/a", Behaviour(DATA, etag='"v2"'))
    get(to, url, sha256=None)
    assert only_file(to) == DATA


def test_server_without_ranges_sends_all_again(server: Server, to: Path) -> None:
    asked = Behaviour(DATA, ranges=False, break_after=[100_000])
    get(to, server.put("/a", asked))
    assert only_file(to) == DATA


def test_without_hash_and_validator_nothing_is_continued(server: Server, to: Path) -> None:
    asked = Behaviour(DATA, etag=None, break_after=[100_000])
    get(to, server.put("/a", asked), sha256=None)
    assert only_file(to) == DATA
    assert [r.get("range") for r in asked.requests] == [None, None]


def test_hash_alone_allows_to_continue(server: Server, to: Path) -> None:
    asked = Behaviour(DATA, etag=None, break_after=[100_000])
    get(to, server.put("/a", asked))
    assert [r.get("range") for r in asked.requests] == [None, "bytes=100000-"]


def test_overlong_draft_is_replaced(server: Server, to: Path) -> None:
    to.mkdir()
    (to / "data.bin.part").write_bytes(DATA + b"more")
    asked = Behaviour(DATA)
    get(to, server.put("/a", asked))
    assert only_file(to) == DATA
    assert [r.get("range") for r in asked.requests] == ["bytes=300004-", None]


def test_busy_server_is_asked_again(server: Server, to: Path) -> None:
    asked = Behaviour(DATA, answers=[503, 429, 500])
    get(to, server.put("/a", asked))
    assert only_file(to) == DATA
    assert len(asked.requests) == 4


def test_busy_server_is_given_up_in_the_end(server: Server, to: Path) -> None:
    asked = Behaviour(DATA, answers=[503] * 9)
    with pytest.raises(DownloadError, match="answers 503 Service Unavailable"):
        get(to, server.put("/a", asked))
    assert len(asked.requests) == transfer.TRIES


def test_redirect_is_followed(server: Server, to: Path) -> None:
    target = server.put("/b", Behaviour(DATA))
    get(to, server.put("/a", Behaviour(location=target)))
    assert only_file(to) == DATA


def test_length_may_be_unknown(server: Server, to: Path) -> None:
    get(to, server.put("/a", Behaviour(DATA, no_length=True)))
    assert only_file(to) == DATA


# wrong bytes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (Behaviour(DATA[:-1] + b"x"), rf"sha256 [0-9a-f]{{64}} instead of {SHA}"),
        (Behaviour(DATA, answers=[404]), "answers 404 Not Found"),
        (Behaviour(DATA, answers=[403]), "answers 403 Forbidden"),
        (Behaviour(b"<html>log in", content_type="text/html"), "web page .* login"),
        (Behaviour(DATA, wrong_range=True, break_after=[9]), "wrong range"),
        (Behaviour(location="file:///etc/passwd"), "answers 302"),
        (Behaviour(location="ftp://127.0.0.1/a"), "cannot be reached .*ftp"),
    ],
)
def test_wrong_answers_are_told_with_their_host(
    behaviour: Behaviour, message: str, server: Server, to: Path
) -> None:
    with pytest.raises(DownloadError, match=rf"127.0.0.1:\d+: .*{message}") as error:
        get(to, server.put("/a", behaviour))
    assert error.value.exit_code == 1
    assert not (to / "data.bin").exists()


def test_size_other_than_the_spec_says(server: Server, to: Path) -> None:
    url = server.put("/a", Behaviour(DATA))
    with pytest.raises(DownloadError, match="has 300000 bytes instead of 5"):
        get(to, url, n_bytes=5)
    with pytest.raises(DownloadError, match="more than the 5 bytes"):
        get(to, server.put("/a", Behaviour(DATA, no_length=True)), n_bytes=5)
    assert get(to, url, n_bytes=len(DATA)).n_bytes == len(DATA)


def test_wrong_bytes_of_an_earlier_run_cost_one_more_request(server: Server, to: Path) -> None:
    to.mkdir()
    (to / "data.bin.part").write_bytes(b"wrong")
    asked = Behaviour(DATA)
    get(to, server.put("/a", asked))
    assert only_file(to) == DATA
    assert [r.get("range") for r in asked.requests] == ["bytes=5-", None]


def test_something_else_under_the_name_of_a_zip(server: Server, to: Path) -> None:
    file = SourceFile("data.zip", urls=(server.put("/a", Behaviour(DATA)),))
    with pytest.raises(DownloadError, match="no zip"):
        fetch_file(file, to)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    server.put("/a", Behaviour(buffer.getvalue()))
    assert fetch_file(file, to).path.read_bytes() == buffer.getvalue()


def test_encryption_is_not_given_up_on_the_way() -> None:
    request = urllib.request.Request("https://127.0.0.1/a")
    with pytest.raises(transfer.MirrorError, match=r"redirects to example.org without encryption"):
        transfer._Redirects().redirect_request(
            request, None, 302, "Found", {}, "http://example.org/a"
        )


def test_full_disk(server: Server, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"10 bytes free and 300000 more are to come"):
        get(to, server.put("/a", Behaviour(DATA)))


def test_name_that_points_outside(to: Path) -> None:
    with pytest.raises(DataError, match="points outside"):
        fetch_file(SourceFile("../data.bin", urls=("http://127.0.0.1/a",)), to)


# mirrors ----------------------------------------------------------------------------------------


def test_second_mirror_helps_out(server: Server, to: Path) -> None:
    bad = server.put("/a", Behaviour(b"wrong" * 1000))
    good = server.put("/b", Behaviour(DATA))
    get(to, bad, good)
    assert only_file(to) == DATA


def test_second_mirror_goes_on_where_the_first_stopped(server: Server, to: Path) -> None:
    first = server.put("/a", Behaviour(DATA, break_after=[200_000, *[0] * 9]))
    second = Behaviour(DATA, etag='"another"')
    get(to, first, server.put("/b", second))
    assert only_file(to) == DATA
    assert second.requests[0]["range"] == "bytes=200000-"


def test_dead_host_then_living_one(server: Server, to: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        get(to, dead, server.put("/b", Behaviour(DATA)))
        assert only_file(to) == DATA
        with pytest.raises(DownloadError, match=r"cannot be reached .*refused"):
            fetch_file(SourceFile("other.bin", urls=(dead,)), to)


# what is there already --------------------------------------------------------------------------


def test_file_in_place_is_not_fetched_again(server: Server, to: Path) -> None:
    asked = Behaviour(DATA)
    url = server.put("/a", asked)
    get(to, url)
    again = get(to, url)
    assert (again.is_new, again.sha256, len(asked.requests)) == (False, SHA, 1)


@pytest.mark.parametrize("sha256", [SHA, None])
def test_file_in_place_that_is_another_is_left_alone(
    sha256: str | None, server: Server, to: Path
) -> None:
    url = server.put("/a", Behaviour(DATA))
    get(to, url, sha256=sha256)
    (to / "data.bin").write_bytes(b"changed")
    with pytest.raises(DataError, match=r"is not the file that was expected: 7 bytes"):
        get(to, url, sha256=sha256)
    assert (to / "data.bin").read_bytes() == b"changed"


def test_file_without_address(to: Path) -> None:
    with pytest.raises(GatedError, match="no public address"):
        get(to)


# licences and the verb --------------------------------------------------------------------------


@pytest.fixture
def spec(server: Server, monkeypatch: pytest.MonkeyPatch) -> DatasetSpec:
    """GlaS' spec with one public and one gated file, known to the registry."""
    glas = registry.get("glas")
    files = (
        SourceFile("data.bin", SHA, len(DATA), (server.put("/a", Behaviour(DATA)),)),
        SourceFile("gated.zip"),
    )
    spec = dataclasses.replace(glas.spec, files=files)
    monkeypatch.setattr(registry, "get", lambda name: SimpleNamespace(spec=spec))
    return spec


def test_nothing_is_fetched_before_the_licence_is_accepted(
    spec: DatasetSpec, server: Server, to: Path
) -> None:
    with pytest.raises(licences.LicenceNotAcceptedError) as error:
        download(["glas"], to)
    assert error.value.exit_code == 2
    for told in (spec.licence.id, spec.licence.note, *spec.citation, "--accept-license"):
        assert told in str(error.value)
    with pytest.raises(licences.LicenceNotAcceptedError):
        fetch(spec, to)
    assert not to.exists()
    assert not server.files["/a"].requests


def test_acceptance_is_remembered_until_the_licence_changes(spec: DatasetSpec, to: Path) -> None:
    asked: list[str] = []

    def agree(terms: str) -> bool:
        asked.append(terms)
        return True

    download(["glas"], to, agree=agree)
    (done,) = download(["glas"], to, agree=agree)
    assert len(asked) == 1
    assert (done.state, done.lacking) == (State.GATED, ("gated.zip",))
    other = dataclasses.replace(spec, licence=dataclasses.replace(spec.licence, id="other"))
    assert not licences.is_accepted(other)


def test_refusal_stands(spec: DatasetSpec, to: Path) -> None:
    with pytest.raises(licences.LicenceNotAcceptedError):
        download(["glas"], to, agree=lambda terms: False)
    assert not to.exists()


def test_damaged_memory_is_told(spec: DatasetSpec, tmp_path: Path) -> None:
    licences.accept(spec)
    (tmp_path / "home" / licences.FILE_NAME).write_text("[1]")
    with pytest.raises(DataError, match=r"licences.json does not list accepted licences"):
        licences.is_accepted(spec)


def test_gated_file_that_the_user_put_there_completes_a_dataset(
    spec: DatasetSpec, to: Path
) -> None:
    (to / "glas").mkdir(parents=True)
    (to / "glas" / "gated.zip").touch()
    (done,) = download(["glas"], to, accept_licence=True)
    assert (done.state, done.lacking) == (State.FETCHED, ())


def test_verb_fetches_and_says_how_to_get_the_rest(spec: DatasetSpec, to: Path) -> None:
    arguments = ["download", "glas", "--to", str(to), "--accept-license"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 2
    assert (to / "glas" / "data.bin").read_bytes() == DATA
    for told in ("300,000 bytes, downloaded", SHA, "not public: gated.zip", spec.how_to_get):
        assert told in shown.stdout
    (one,) = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert (one["state"], one["files"][0]["sha256"]) == ("gated", SHA)
    assert one["next"] == f"cerberus-bench harmonize glas --source {to / 'glas'}"


def test_verb_says_how_to_get_gated_sources_and_exits_2() -> None:
    done = CliRunner().invoke(app, ["download", "glas"])
    assert done.exit_code == 2
    assert registry.get("glas").spec.how_to_get in done.stdout


def test_embedded_dataset_needs_no_download() -> None:
    done = CliRunner().invoke(app, ["download", "phantom", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)[0]["state"] == "embedded"


# the door ---------------------------------------------------------------------------------------


def test_tests_cannot_leave_this_machine() -> None:
    with pytest.raises(NetworkClosedError):
        socket.create_connection(("example.org", 80), timeout=1)
    with socket.socket() as out, pytest.raises(NetworkClosedError):
        out.connect(("192.0.2.1", 80))
