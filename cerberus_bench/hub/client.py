"""The Hub's client, and its errors as ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from cerberus_bench.hub.places import HubPlace
from cerberus_bench.schema.errors import CerberusBenchError, DataError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

Kind = Literal["dataset", "model", "space"]
WEB_PREFIX: Mapping[Kind, str] = {"dataset": "datasets/", "model": "", "space": "spaces/"}
"""What stands before ORG/NAME in addresses."""

AGAIN = "Run this again; what was transferred already is not transferred again."
LOGIN = "set HF_TOKEN or run `hf auth login`"
STALE_PARENT = 412


class HubError(CerberusBenchError):
    """The Hub could not be reached, or failed; the same command may succeed later."""


class HubAccessError(DataError):
    """The Hub does not let this user do it."""


class NotOnHubError(DataError):
    """There is no such repository, or it is hidden from this user."""


def client() -> "HfApi":
    """The client, with the user's own token if there is one."""
    from huggingface_hub import HfApi

    return HfApi(library_name="cerberus-bench")


@contextmanager
def hub_errors(place: HubPlace, kind: Kind) -> Iterator[None]:
    """Errors of the client about a place, said so that a user can act on them.

    Raises:
        HubAccessError: gated, or not allowed.
        NotOnHubError: there is no such repository.
        DataError: there is no such revision.
        HubError: all else.
    """
    import httpx2
    from huggingface_hub import constants, errors

    where = f"the {kind} {place.repo} on {constants.ENDPOINT}"
    try:
        yield
    except errors.GatedRepoError:
        raise HubAccessError(
            f"{where} is gated. Ask for access at {_page(place, kind)}, then {LOGIN} with a token"
            " of the account that was let in."
        ) from None
    except errors.RevisionNotFoundError:
        raise DataError(
            f"{where} has no revision {place.revision!r}; {_page(place, kind)}/tree/main lists"
            " its branches and tags"
        ) from None
    except errors.RepositoryNotFoundError:
        raise NotOnHubError(
            f"{where} does not exist, or is private: check the name, or {LOGIN} with a token that"
            " may read it"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise HubError(
            f"{where} is not on this disk as {place.revision or 'main'}, and cannot be reached"
            f" ({_first_line(error)}). Pull it once with a network."
        ) from None
    except errors.HfHubHTTPError as error:
        raise _answered(where, error) from None
    except httpx2.TransportError as error:
        raise _unreachable(where, error) from None
    except RuntimeError as error:  # how the client wraps what stopped an upload
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise _answered(where, error.__cause__) from None
        if isinstance(error.__cause__, httpx2.TransportError):
            raise _unreachable(where, error.__cause__) from None
        raise


def _unreachable(where: str, error: Exception) -> HubError:
    return HubError(f"{where} cannot be reached ({type(error).__name__}). {AGAIN}")


def _answered(where: str, error: "HfHubHTTPError") -> CerberusBenchError:
    """What the Hub said with a status of 4xx or 5xx."""
    status = error.response.status_code
    said = " ".join((error.server_message or _first_line(error)).split())
    if status in (401, 403):
        return HubAccessError(
            f"{where} answered {status} ({said}): {LOGIN} with a token that may do this, and check"
            " that you may write to the namespace"
        )
    return HubError(f"{where} answered {status} ({said}). {AGAIN}")


def _page(place: HubPlace, kind: Kind) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{WEB_PREFIX[kind]}{place.repo}"


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line), type(error).__name__)
