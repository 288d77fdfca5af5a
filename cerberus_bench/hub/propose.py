"""Files offered to a repository of others, as a pull request."""

from collections.abc import Mapping
from dataclasses import dataclass

from cerberus_bench.hub.client import Kind, client, hub_errors
from cerberus_bench.hub.places import HubPlace
from cerberus_bench.hub.publish import LocalFile, tree


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was offered."""

    repo: str
    url: str | None
    """Of the pull request; None where the repository holds all files already."""
    files: tuple[str, ...]
    """Paths that are new or other than what the repository holds."""


def propose(
    repo: str, kind: Kind, files: Mapping[str, LocalFile], title: str, description: str
) -> Proposal:
    """Open a pull request with the files that the repository does not hold yet.

    Raises:
        NotOnHubError: there is no such repository.
        HubAccessError: the user may not propose there.
        HubError: the Hub failed.
    """
    from huggingface_hub import CommitOperationAdd

    api = client()
    place = HubPlace(repo, "main")
    with hub_errors(place, kind):
        present = tree(api, place, kind)
        new = {
            path: file
            for path, file in files.items()
            if path not in present or not file.equals(present[path])
        }
        if not new:
            return Proposal(repo, None, ())
        done = api.create_commit(
            repo,
            operations=[CommitOperationAdd(path, file.source) for path, file in new.items()],
            commit_message=title,
            commit_description=description,
            repo_type=kind,
            create_pr=True,
        )
    return Proposal(repo, done.pr_url, tuple(new))
