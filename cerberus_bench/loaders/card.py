"""The dataset card (README.md) of a harmonised folder: YAML for `datasets`, text for readers."""

import json
from collections.abc import Iterable

from cerberus_bench.loaders.metadata import TableMetadata
from cerberus_bench.loaders.writer import DATA_FOLDER
from cerberus_bench.schema.dataset import DatasetSpec

_CATEGORIES = {
    "nuclei": "image-segmentation",
    "gland": "image-segmentation",
    "lumen": "image-segmentation",
    "tissue": "image-classification",
    "signet_ring": "object-detection",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
_LARGER = "100K<n<1M"


def write_card(spec: DatasetSpec, metadata: TableMetadata, usage: str | None = None) -> str:
    """The text of README.md.

    Args:
        spec: of the dataset.
        metadata: of the harmonised folder.
        usage: Markdown on how to open it; for a folder on this disk when None.
    """
    sections = (
        _front_matter(spec, metadata),
        _opening(spec, metadata, usage or _folder_usage(metadata)),
        _counts(metadata),
        _classes(spec),
        _splits(spec, metadata),
        _changes(spec, metadata),
        _licence(spec),
    )
    return "\n".join(sections)


def _front_matter(spec: DatasetSpec, metadata: TableMetadata) -> str:
    categories = dict.fromkeys(_CATEGORIES[task] for task in spec.tasks)
    licence = spec.licence.id
    is_custom = licence.startswith("LicenseRef-")
    lines = [
        f"pretty_name: {_quoted(spec.title)}",
        f"license: {'other' if is_custom else licence.lower()}",
        *([f"license_name: {licence.removeprefix('LicenseRef-').lower()}"] if is_custom else []),
        "task_categories:",
        *(f"- {category}" for category in categories),
        "tags:",
        *(f"- {tag}" for tag in ("histology", "pathology", *spec.tasks)),
        f"size_categories:\n- {_size(sum(metadata.splits.values()))}",
        "configs:",
        "- config_name: default",
        "  data_files:",
    ]
    for split in metadata.splits:
        lines += [f"  - split: {split}", f"    path: {DATA_FOLDER}/{split}.parquet"]
    return "\n".join(("---", *lines, "---", ""))


def _opening(spec: DatasetSpec, metadata: TableMetadata, usage: str) -> str:
    scale = f"{metadata.mpp} microns per pixel" if metadata.mpp else "the resolution of the source"
    synthetic = "\nThe images are synthetic.\n" if spec.synthetic else ""
    return (
        f"# {spec.title}\n\nHarmonised by cerberus-bench to {scale}; version {metadata.version},"
        f" fingerprint `{metadata.fingerprint[:12]}`.\n{synthetic}\n"
        f"Source: {spec.home or 'this package'}; organ: {spec.organ}; source resolution"
        f" {spec.mpp} microns per pixel. {spec.how_to_get}\n\n{usage}"
    )


def _folder_usage(metadata: TableMetadata) -> str:
    first = next(iter(metadata.splits))
    return (
        "```python\nimport datasets\n\n"
        f'rows = datasets.load_dataset("path/to/this/folder", split="{first}")\n```\n'
    )


def _counts(metadata: TableMetadata) -> str:
    splits = [[split, n] for split, n in metadata.splits.items()]
    parts = [
        [task, part, f"{n:,}"] for task, by in metadata.objects.items() for part, n in by.items()
    ]
    missing = "".join(
        f"\n{n} images of the official part {part} are missing: they were not in the source files"
        " given.\n"
        for part, n in metadata.missing.items()
    )
    objects = _table(("task", "official part", "objects in the source"), parts) if parts else ""
    return f"## What is here\n\n{_table(('split', 'records'), splits)}\n{objects}{missing}"


def _classes(spec: DatasetSpec) -> str:
    rows = [
        [task, code, node]
        for task, label_map in spec.label_maps.items()
        for code, node in label_map.nodes.items()
    ]
    return "## Class map\n\n" + _table(("task", "class in the source", "class here"), rows)


def _splits(spec: DatasetSpec, metadata: TableMetadata) -> str:
    if metadata.fixed_roles:
        how = "The source fixes which records are train, validation and test."
    else:
        how = (
            "Records that share a group or an ancestral image stay together, over all datasets of"
            " the suite. Stored is fold 3 as test; one in seven of the other components is"
            " validation."
        )
    leaks = {part: f"shares {', '.join(g)}" for part, g in metadata.official_overlap.items()}
    leaks = {**spec.official_leaks, **leaks}
    official = ", ".join(f"{part} ({n})" for part, n in metadata.official_splits.items())
    lines = [f"## Splits\n\n{how} Groups are known at the level of the {spec.group_level}.\n"]
    if official:
        lines.append(f"The source's own parts are in `official_split`: {official}.\n")
    lines += [f"- official {part}: {reason}" for part, reason in leaks.items()]
    return "\n".join(lines) + ("\n" if leaks else "")


def _changes(spec: DatasetSpec, metadata: TableMetadata) -> str:
    lines = [f"- {note}" for note in spec.notes]
    lines += [f"- {text}: {n}" for text, n in metadata.notes.items()]
    if metadata.n_lost:
        lines.append(f"- instances that vanished in resampling: {metadata.n_lost}")
    return "## What was done, and what to know\n\n" + "\n".join(lines) + "\n"


def _licence(spec: DatasetSpec) -> str:
    citations = "\n".join(f"- {citation}" for citation in spec.citation)
    note = f": {spec.licence.note}" if spec.licence.note else ""
    return (
        f"## Licence and citation\n\n{spec.licence.id}{note}. Redistribution of the pixels:"
        f" {spec.licence.redistribution}.\n\n{citations}\n"
    )


def _table(header: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _size(n: int) -> str:
    return next((name for bound, name in _SIZES if n < bound), _LARGER)


def _quoted(text: str) -> str:
    # a JSON string is a YAML string
    return json.dumps(text, ensure_ascii=False)
