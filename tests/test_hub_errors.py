"""What the client raises, said so that a user can act on it."""

import httpx2
import pytest
from loopback_hub import HUB

from cerberus_bench.hub.client import HubAccessError, HubError, hub_errors
from cerberus_bench.hub.places import HubPlace
from cerberus_bench.schema.errors import CerberusBenchError, DataError

PLACE = HubPlace("org/thing", "v1")


def answer(status: int, message: str) -> Exception:
    from huggingface_hub.errors import HfHubHTTPError

    request = httpx2.Request("GET", f"{HUB.endpoint}/api/datasets/org/thing")
    response = httpx2.Response(status, request=request)
    return HfHubHTTPError(f"{status} error", response=response, server_message=message)


def wrapped(cause: Exception) -> RuntimeError:
    error = RuntimeError("Error while uploading 'a' to the Hub.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (answer(403, "no\nright"), HubAccessError, r"answered 403 \(no right\): set HF_TOKEN or"),
        (answer(507, "disk full"), HubError, r"answered 507 \(disk full\)\. Run this again"),
        (httpx2.ReadTimeout("slow"), HubError, r"cannot be reached \(ReadTimeout\)"),
        (wrapped(answer(401, "who?")), HubAccessError, r"answered 401 \(who\?\)"),
        (wrapped(httpx2.WriteError("cut")), HubError, r"cannot be reached \(WriteError\)"),
    ],
)
def test_errors_name_the_place_and_a_remedy(
    raised: Exception, kind: type[CerberusBenchError], said: str
) -> None:
    with pytest.raises(kind, match=said) as told, hub_errors(PLACE, "dataset"):
        raise raised
    assert str(told.value).startswith(f"the dataset org/thing on {HUB.endpoint} ")
    assert told.value.exit_code == (2 if isinstance(told.value, DataError) else 1)


def test_our_own_mistakes_are_not_dressed_up() -> None:
    for mistake in (RuntimeError("bug"), KeyError("bug")):
        with pytest.raises(type(mistake), match="bug"), hub_errors(PLACE, "model"):
            raise mistake
