"""CSV and JSON of sources."""

import csv
import json
from collections.abc import Sequence
from typing import Any

from cerberus_bench.schema.errors import DataError


def parse_csv(data: bytes, name: str, needed: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV with a header; what a row lacks is empty.

    Raises:
        DataError: it is no CSV, or a needed column is not there.
    """
    reader = csv.DictReader(data.decode("utf-8-sig", "replace").splitlines(), restval="")
    try:
        rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
    except csv.Error as error:
        raise DataError(f"{name} is no CSV ({error}). Obtain it again.") from None
    lacking = [column for column in needed if column not in (reader.fieldnames or ())]
    if lacking:
        raise DataError(
            f"{name} has no column {lacking[0]}; expected {', '.join(needed)}. Take the file that"
            " the source distributes."
        )
    return rows


def parse_json(data: bytes, name: str) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name} is no JSON ({error}). It is damaged or cut short: obtain it again."
        ) from None
