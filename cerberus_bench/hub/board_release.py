"""A board as a static Space: its page, and the results that it was made from."""

from collections.abc import Sequence
from typing import Any

from cerberus_bench.hub.checksums import CARD_NAME
from cerberus_bench.hub.client import Kind, NotOnHubError, client, hub_errors
from cerberus_bench.hub.places import HubPlace
from cerberus_bench.hub.publish import MAIN, LocalFile, Release, Target
from cerberus_bench.hub.pull import read_remote
from cerberus_bench.hub.result_files import RESULTS_FOLDER, result_files
from cerberus_bench.leaderboard.page import TITLE
from cerberus_bench.leaderboard.page_check import check_page
from cerberus_bench.leaderboard.store import StoredResult
from cerberus_bench.schema.errors import DataError

KIND: Kind = "space"
PAGE_NAME = "index.html"
TAG = "cerberus-bench-leaderboard"
"""What the card of a Space says that is ours to write."""


def board_release(page: str, stored: Sequence[StoredResult], target: Target) -> Release:
    """The page of a board, its results, and the card by which the Hub serves the page.

    Args:
        page: of `leaderboard.to_html`.
        stored: the results that it was made from.
        target: ORG/SPACE.

    Raises:
        DataError: the page is no board, or could reach outside itself.
    """
    check_page(page, f"{len(stored)} results")
    files = {
        CARD_NAME: LocalFile(_card(stored).encode()),
        PAGE_NAME: LocalFile(page.encode()),
        **result_files(stored),
    }
    return Release(
        target=target,
        kind=KIND,
        files=files,
        message=f"{len(stored)} results",
        owned=(f"{RESULTS_FOLDER}/",),
    )


def check_is_board(repo: str) -> None:
    """Refuse to write over a Space that shows something else; a new or absent one is free.

    Raises:
        DataError: it holds other work.
        HubError: the Hub failed.
    """
    place = HubPlace(repo, MAIN)
    try:
        card = read_remote(place, KIND, CARD_NAME)
    except NotOnHubError:
        return
    with hub_errors(place, KIND):
        commits = client().list_repo_commits(repo, repo_type=KIND)
    # the Hub itself makes the first commit, of a template
    if len(commits) > 1 and TAG not in _tags(card):
        raise DataError(
            f"the Space {repo} holds something else than a leaderboard of this suite (its"
            f" {CARD_NAME} lacks the tag {TAG}). Give another ORG/SPACE; it is made if it does not"
            " exist."
        )


def _tags(card: bytes | None) -> list[Any]:
    import yaml

    parts = (card or b"").decode("utf-8", "replace").split("---\n", 2)
    if len(parts) != 3 or parts[0]:
        return []
    try:
        facts = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return []
    found = facts.get("tags") if isinstance(facts, dict) else None
    return found if isinstance(found, list) else []


def _card(stored: Sequence[StoredResult]) -> str:
    """README.md, which tells the Hub to serve the page as it is."""
    models = {one.record.model.name for one in stored}
    datasets = {one.record.data.name for one in stored}
    return (
        f"---\ntitle: {TITLE}\nemoji: 🔬\ncolorFrom: indigo\ncolorTo: pink\nsdk: static\n"
        f"app_file: {PAGE_NAME}\npinned: false\ntags:\n- {TAG}\n- histology\n---\n\n"
        f"# {TITLE}\n\n{len(stored)} results of {len(models)} models on {len(datasets)} datasets,"
        f" compared with intervals and paired differences.\n\n`{RESULTS_FOLDER}/` holds the results"
        " with the counts of every image. From a copy of it,\n`cerberus-bench leaderboard"
        f" {RESULTS_FOLDER} --html {PAGE_NAME}` builds the same page.\n"
    )
