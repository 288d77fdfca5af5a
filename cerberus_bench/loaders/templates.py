"""Path templates of a user's folder: `images/{group}_{record}.png`.

A field stands for one or more characters of one path component, as few as will do; `*` for any.
"""

import re
from collections.abc import Mapping
from string import Formatter

FIELDS = ("record", "group", "split", "tissue")
MAX_LENGTH = 500
MAX_WILDCARDS = 6
"""Fields and stars in one template; more would make matching slow."""


def fields_of(template: str) -> tuple[str, ...]:
    """The fields of a template, in order.

    Raises:
        ValueError: a field is none of `FIELDS`, a brace has no partner, or the path is not one
            below the folder.
    """
    parts = list(Formatter().parse(template))
    fields = tuple(name for _, name, _, _ in parts if name is not None)
    odd = [name for name in fields if name not in FIELDS]
    if odd or any(form or conversion for _, _, form, conversion in parts):
        raise ValueError(
            f"{template!r} has a field other than {', '.join(f'{{{f}}}' for f in FIELDS)}"
        )
    steps = template.split("/")
    if not template or "\\" in template or ".." in steps or "" in steps or "." in steps:
        raise ValueError(f"{template!r} is no path below the folder, with / between its steps")
    if len(template) > MAX_LENGTH or len(fields) + template.count("*") > MAX_WILDCARDS:
        raise ValueError(f"{template!r} has more than {MAX_WILDCARDS} fields and stars")
    return fields


def pattern_of(template: str) -> re.Pattern[str]:
    """What matches a whole path, with a named group for each field."""
    seen: set[str] = set()
    text = ""
    for literal, field, _, _ in Formatter().parse(template):
        text += "[^/]*?".join(re.escape(piece) for piece in literal.split("*"))
        if field in seen:
            text += f"(?P={field})"
        elif field:
            seen.add(field)
            text += f"(?P<{field}>[^/]+?)"
    return re.compile(rf"{text}\Z")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The path that a template stands for."""
    return template.format_map(values)
