"""A set of files as the state of a repository: one commit, or none where nothing changed."""

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest, sha1, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cerberus_bench.hub.client import STALE_PARENT, WEB_PREFIX, HubError, Kind, client, hub_errors
from cerberus_bench.hub.places import HubPlace
from cerberus_bench.schema.errors import DataError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

MAIN = "main"
ATTEMPTS = 3
"""How often a commit is tried when others commit in between."""

Gate = Literal["auto", "manual"]


@dataclass(frozen=True)
class LocalFile:
    """A file to be published: a path on this disk, or bytes."""

    source: Path | bytes

    @property
    def size(self) -> int:
        """Bytes."""
        source = self.source
        return len(source) if isinstance(source, bytes) else source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Hash by which large file storage knows it."""
        if isinstance(self.source, bytes):
            return sha256(self.source).hexdigest()
        with self.source.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()

    @cached_property
    def git_oid(self) -> str:
        """Hash by which git knows it."""
        digest = sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)
        digest.update(self.source if isinstance(self.source, bytes) else self.source.read_bytes())
        return digest.hexdigest()

    def equals(self, remote: "RepoFile") -> bool:
        """Whether a file of a repository has the same bytes."""
        if remote.size != self.size:
            return False
        return remote.lfs.sha256 == self.sha256 if remote.lfs else remote.blob_id == self.git_oid


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a release goes, and who may see it."""

    repo: str
    """ORG/NAME; made if it does not exist."""
    tag: str | None = None
    """Immutable name of this state."""
    private: bool = False
    """Whether a new repository is private."""
    gated: Gate | None = None
    """Whether readers have to ask for access; None leaves it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a repository is to hold."""

    target: Target
    kind: Kind
    files: Mapping[str, LocalFile]
    """Path in the repository -> file."""
    message: str
    owned: Collection[str] = ()
    """Folders (`data/`) in which no other file stays."""
    foreign: Collection[str] = ()
    """Files of a repository that is for something else."""
    loose: Collection[str] = ("README.md",)
    """Files and folders that may change under a tag that exists: they only tell of the others."""

    @property
    def repo(self) -> str:
        """ORG/NAME."""
        return self.target.repo


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a release is now."""

    repo: str
    commit: str
    tag: str | None
    url: str
    changed: tuple[str, ...]
    """Files added, changed or removed; empty where the repository held this state already."""


def publish(release: Release) -> Published:
    """Make a repository hold the files of a release, tag that, and compare its hashes.

    Blobs that arrived in an earlier, interrupted run are not sent again; the commit is one, so
    readers see the old state or the new one. Where others commit in between, it is tried anew.

    Raises:
        DataError: the tag exists and holds other files, the repository is for something else, or
            its card is refused.
        HubAccessError: the user may not write there.
        HubError: the Hub failed, or holds other bytes afterwards.
    """
    api, target = client(), release.target
    with hub_errors(HubPlace(target.repo), release.kind):
        api.create_repo(
            target.repo,
            repo_type=release.kind,
            private=True if target.private else None,
            exist_ok=True,
            space_sdk="static" if release.kind == "space" else None,
        )
        _check_purpose(release, _tree(api, release, MAIN))
        tags = _tags(api, release)
        if target.tag in tags:
            _check_tag(api, release, tags[target.tag])
        commit, changed = _commit(api, release)
        _verify(api, release, commit)
        if target.tag and target.tag not in tags:
            api.create_tag(target.repo, tag=target.tag, revision=commit, repo_type=release.kind)
        if target.gated:
            api.update_repo_settings(target.repo, gated=target.gated, repo_type=release.kind)
    return Published(
        repo=target.repo,
        commit=commit,
        tag=target.tag,
        url=_url(api, release, commit),
        changed=changed,
    )


def _tags(api: "HfApi", release: Release) -> dict[str, str]:
    refs = api.list_repo_refs(release.repo, repo_type=release.kind)
    return {ref.name: ref.target_commit for ref in refs.tags}


def _check_tag(api: "HfApi", release: Release, commit: str) -> None:
    loose = tuple(release.loose)
    changes = _changes(release, _tree(api, release, commit))
    changed = [path for path in changes if not path.startswith(loose)]
    if changed:
        raise DataError(
            f"{release.target.tag} of {release.repo} holds other files"
            f" ({', '.join(changed)}), and a tag never moves. Raise the version, or give"
            " another --tag."
        )


def _commit(api: "HfApi", release: Release) -> tuple[str, tuple[str, ...]]:
    """Commit what differs from the head of main; returns the head, and what was changed."""
    from huggingface_hub.errors import HfHubHTTPError

    for _ in range(ATTEMPTS):
        head = _head(api, release)
        changes = _changes(release, _tree(api, release, head))
        if not changes:
            return head, ()
        try:
            with warnings.catch_warnings():
                # the client asks whether parquet is meant for a Space: results are
                warnings.filterwarnings("ignore", "It seems that you are about to commit a data")
                done = api.create_commit(
                    release.repo,
                    operations=list(_operations(release, changes)),
                    commit_message=release.message,
                    repo_type=release.kind,
                    parent_commit=head,
                )
        except HfHubHTTPError as error:
            if error.response.status_code != STALE_PARENT:
                raise
        except ValueError as error:  # the Hub refused the metadata of README.md
            raise DataError(f"{release.repo}: {error}") from None
        else:
            return done.oid, tuple(changes)
    raise HubError(
        f"{release.repo}: others committed in between {ATTEMPTS} times. Run this again; what was"
        " transferred already is not transferred again."
    )


def _check_purpose(release: Release, present: Collection[str]) -> None:
    other = sorted(set(release.foreign) & set(present))
    if other:
        raise DataError(
            f"{release.repo} holds {', '.join(other)}, so it is for something else than"
            f" {', '.join(sorted(release.files))}. Give another --repo."
        )


def _head(api: "HfApi", release: Release) -> str:
    head = api.repo_info(release.repo, repo_type=release.kind, revision=MAIN).sha
    assert head is not None
    return head


def _tree(api: "HfApi", release: Release, commit: str) -> dict[str, "RepoFile"]:
    return tree(api, HubPlace(release.repo, commit), release.kind)


def tree(api: "HfApi", place: HubPlace, kind: Kind) -> dict[str, "RepoFile"]:
    """Path -> file of a repository at a revision."""
    from huggingface_hub.hf_api import RepoFile

    listed = api.list_repo_tree(place.repo, recursive=True, revision=place.revision, repo_type=kind)
    return {entry.path: entry for entry in listed if isinstance(entry, RepoFile)}


def _changes(release: Release, remote: Mapping[str, "RepoFile"]) -> list[str]:
    """Paths in which the repository differs from the release, sorted."""
    other = [
        path
        for path, file in release.files.items()
        if path not in remote or not file.equals(remote[path])
    ]
    surplus = set(remote) - set(release.files)
    return sorted(other + [p for p in surplus if p.startswith(tuple(release.owned))])


def _operations(release: Release, changes: Collection[str]) -> Iterator[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    for path in changes:
        if path in release.files:
            yield CommitOperationAdd(path, release.files[path].source)
        else:
            yield CommitOperationDelete(path)


def _verify(api: "HfApi", release: Release, commit: str) -> None:
    wrong = _changes(release, _tree(api, release, commit))
    if wrong:
        raise HubError(
            f"{release.repo} holds other bytes than were sent: {', '.join(wrong)} at {commit}."
            " Push again."
        )


def _url(api: "HfApi", release: Release, commit: str) -> str:
    return f"{api.endpoint}/{WEB_PREFIX[release.kind]}{release.repo}/tree/{commit}"
