"""The page docs/datasets.md: every source dataset, from its spec alone."""

from collections.abc import Sequence

from cerberus_bench.schema.dataset import DatasetSpec

HEADER = """\
# Datasets

What the suite reads, as `cerberus-bench list datasets --markdown` prints it. *Evidence* says what a
reader rests on: `real bytes` it was run on, `public code` it was written from, or `unverified`
notes. Images and objects are those of the complete source, where they are known. *State* is that
before anything was obtained: `embedded` in the package, `public` (`download` fetches the files),
`gated` (their user has to ask for at least one), or `unreleased` by their owners.
"""
COLUMNS = (
    *("name", "tasks", "images", "objects", "mpp", "licence", "redistribution"),
    *("evidence", "state"),
)


def datasets_page(specs: Sequence[DatasetSpec]) -> str:
    """Markdown with one table over all datasets and a section for each.

    Args:
        specs: the datasets, in the order to show them.
    """
    lines = [_row(COLUMNS), _row(("---",) * len(COLUMNS)), *(_row(_cells(spec)) for spec in specs)]
    return HEADER + "\n" + "".join(lines) + "".join(_section(spec) for spec in specs)


def _cells(spec: DatasetSpec) -> tuple[str, ...]:
    return (
        f"[{spec.name}](#{spec.name})",
        ", ".join(spec.tasks) or "none",
        f"{spec.n_images:,}" if spec.n_images else "",
        ", ".join(f"{n:,} {task}" for task, n in spec.expected_objects.items()),
        f"{spec.mpp:g}",
        spec.licence.id,
        str(spec.licence.redistribution),
        str(spec.evidence),
        str(spec.access),
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _section(spec: DatasetSpec) -> str:
    facts = [
        f"To obtain it: {spec.how_to_get}",
        *(f"Cite: {citation}" for citation in spec.citation),
        *_class_maps(spec),
        *(f"Official part `{part}`: {why}" for part, why in spec.official_leaks.items()),
        *spec.notes,
        *(f"Known fault: {fault.text}" for fault in spec.known_faults),
    ]
    listed = "".join(f"- {fact}\n" for fact in facts)
    return f"\n## {spec.name}\n\n{spec.title}. Groups are of level {spec.group_level}.\n\n{listed}"


def _class_maps(spec: DatasetSpec) -> list[str]:
    return [
        f"Classes of {task}: " + ", ".join(f"{name} -> {node}" for name, node in found.items())
        for task, label_map in spec.label_maps.items()
        if (found := label_map.nodes)
    ]
