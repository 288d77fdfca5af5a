"""The loopback Hub is one: the real client works against it, and it can refuse."""

from pathlib import Path

import pytest
from loopback_hub import STRANGER, Fault, LoopbackHub, hub, running_hub
from loopback_store import Refusal, Repo

__all__ = ["hub", "running_hub"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "org/thing"
BLOB = bytes(range(256)) * 40


@pytest.fixture
def repo(hub: LoopbackHub) -> Repo:
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(REPO, repo_type="dataset")
    api.upload_file(
        path_or_fileobj=BLOB, path_in_repo="a/b.parquet", repo_id=REPO, repo_type="dataset"
    )
    return hub.repo(REPO)


def test_blobs_come_from_another_host_without_the_token(hub: LoopbackHub, repo: Repo) -> None:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(REPO, "a/b.parquet", repo_type="dataset")
    assert Path(path).read_bytes() == BLOB
    blobs = [r for r in hub.requests if r.path.startswith("/blobs/")]
    assert {r.method for r in blobs} == {"PUT", "GET"}
    assert all(r.host.startswith("localhost:") and not r.has_token for r in blobs)
    assert any(r.has_token for r in hub.requests if "/resolve/" in r.path)


def test_a_leaked_token_would_be_seen(hub: LoopbackHub, repo: Repo) -> None:
    from huggingface_hub import get_session

    get = get_session().get
    digest = next(iter(repo.blobs))
    url = f"http://{hub.blob_host}/blobs/dataset/{REPO}/{digest}"
    assert get(url, headers={"Range": "bytes=5-9"}).content == BLOB[5:10]
    past = get(url, headers={"Range": f"bytes={len(BLOB)}-"})
    assert past.status_code == 416
    assert get(url, headers={"Authorization": f"Bearer {STRANGER}"}).status_code == 400
    assert len(hub.leaks) == 1
    hub.leaks.clear()


def test_refusals(hub: LoopbackHub, repo: Repo) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import (
        HfHubHTTPError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi()
    first = api.list_repo_commits(REPO, repo_type="dataset")[-1].commit_id
    add = CommitOperationAdd("x.txt", b"x")
    with pytest.raises(HfHubHTTPError, match="412"):
        api.create_commit(REPO, [add], commit_message="m", repo_type="dataset", parent_commit=first)
    api.create_tag(REPO, tag="v1", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(REPO, tag="v1", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(REPO, repo_type="dataset", revision="v2")
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(REPO, "none.txt", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("org/other", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(token=STRANGER).create_tag(REPO, tag="v3", repo_type="dataset")
    with pytest.raises(ValueError, match="license"):
        api.upload_file(
            path_or_fileobj=b"---\nlicense: mine\n---\n",
            path_in_repo="README.md",
            repo_id=REPO,
            repo_type="dataset",
        )


def test_blobs_that_are_wrong_or_missing_are_refused(repo: Repo) -> None:
    with pytest.raises(Refusal, match="does not match"):
        repo.store_blob("0" * 64, 3, b"abc")
    header = {"key": "header", "value": {"summary": "s"}}
    pointer = {"path": "c.parquet", "algo": "sha256", "oid": "0" * 64, "size": 3}
    with pytest.raises(Refusal, match="has no file"):
        repo.commit("main", [header, {"key": "lfsFile", "value": pointer}], "owner")
    plain = {"path": "c.parquet", "content": "YWJj", "encoding": "base64"}
    with pytest.raises(Refusal, match="large file"):
        repo.commit("main", [header, {"key": "file", "value": plain}], "owner")
    outside = {"path": "../c.txt", "content": "YWJj", "encoding": "base64"}
    with pytest.raises(Refusal, match="cannot apply"):
        repo.commit("main", [header, {"key": "file", "value": outside}], "owner")


def test_unknown_routes_are_noted(hub: LoopbackHub) -> None:
    from huggingface_hub import get_session

    get = get_session().get
    assert get(f"{hub.endpoint}/api/secrets").status_code == 404
    assert hub.unknown == ["GET /api/secrets"]
    hub.unknown.clear()
    hub.faults.append(Fault("GET", "whoami", 418, skip=1))
    assert [get(f"{hub.endpoint}/api/whoami-v2").status_code for _ in "ab"] == [401, 418]
