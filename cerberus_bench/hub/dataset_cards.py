"""The card of a dataset on the Hub: that of its folder, with what only a repository has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cerberus_bench.hub.checksums import format_card_rows
from cerberus_bench.hub.publish import Target
from cerberus_bench.hub.recipe import RECORDS_NAME
from cerberus_bench.loaders.card import write_card
from cerberus_bench.loaders.columns import features
from cerberus_bench.loaders.metadata import TableMetadata
from cerberus_bench.loaders.writer import split_path
from cerberus_bench.schema.dataset import DatasetSpec, Redistribution

PICTURE_NAME = "preview.jpg"


def pixel_card(
    spec: DatasetSpec,
    folder: Path,
    metadata: TableMetadata,
    target: Target,
    sums: Mapping[str, str],
) -> str:
    """README.md of a repository that holds the harmonised rows.

    Args:
        spec: of the dataset.
        folder: the harmonised folder, for its sizes.
        metadata: of the folder.
        target: where it goes; where readers have to ask, the card says what they agree to.
        sums: path -> sha256 of the data files.
    """
    repo, tag = target.repo, target.tag
    first = next(iter(metadata.splits))
    usage = (
        "```python\nimport cerberus_bench as cb\n\n"
        f'rows = cb.load("{repo}", revision="{tag}", split="{first}")  # datasets.Dataset\n```\n\n'
        f'The same without the suite: `datasets.load_dataset("{repo}", revision="{tag}")`; with'
        f" it, `cerberus-bench eval MODEL --data {repo}@{tag}` scores a model on the test split.\n"
        f"\n![Images with their annotations drawn on them]({PICTURE_NAME})\n"
    )
    card = _card(spec, metadata, usage)
    card.data.dataset_info = _dataset_info(folder, metadata)
    if target.gated:
        card.data.extra_gated_prompt = _terms(spec)
        card.data.extra_gated_fields = {"I accept the licence": "checkbox"}
    card.text += _files_section(sums)
    return str(card)


def recipe_card(
    spec: DatasetSpec, metadata: TableMetadata, target: Target, sums: Mapping[str, str]
) -> str:
    """README.md of a repository that holds a recipe and no pixels."""
    place = f"{target.repo}@{target.tag}"
    usage = (
        f"**This repository holds no image.** {_reason(spec)} What is here is the recipe: ids,"
        " groups, splits, the class map, and hashes of the harmonised arrays of every record. With"
        " the source files at hand, this rebuilds the dataset and proves record by record that it"
        " is the same:\n\n"
        f"```bash\ncerberus-bench harmonize {spec.name} --source PATH --recipe {place}\n```\n"
    )
    card = _card(spec, metadata, usage)
    card.data.configs = [{"config_name": "records", "data_files": RECORDS_NAME}]
    card.data.tags = [*card.data.tags, "recipe"]
    card.text += _files_section(sums)
    return str(card)


def _card(spec: DatasetSpec, metadata: TableMetadata, usage: str) -> Any:
    from huggingface_hub import DatasetCard

    card: Any = DatasetCard(write_card(spec, metadata, usage))
    card.data.source_datasets = ["original" if spec.synthetic else f"extended|other-{spec.name}"]
    return card


def _reason(spec: DatasetSpec) -> str:
    note = f" ({spec.licence.note})" if spec.licence.note else ""
    return f"The licence of the source, {spec.licence.id}{note}, does not let pixels be passed on."


def _terms(spec: DatasetSpec) -> str:
    same = (
        " under the same licence" if spec.licence.redistribution is not Redistribution.YES else ""
    )
    return (
        f"{spec.title} is published under {spec.licence.id}. By asking for access you accept it;"
        f" what you make of the images may be passed on only as it allows{same}."
    )


def _dataset_info(folder: Path, metadata: TableMetadata) -> dict[str, Any]:
    """Columns and sizes as `datasets` reads them from a card."""
    import pyarrow.parquet as pq
    from datasets import DatasetInfo, SplitDict, SplitInfo

    splits = SplitDict()
    download_size = 0
    for name, n in metadata.splits.items():
        path = split_path(folder, name)
        groups = pq.read_metadata(path)
        n_bytes = sum(groups.row_group(i).total_byte_size for i in range(groups.num_row_groups))
        splits.add(SplitInfo(name=name, num_bytes=n_bytes, num_examples=n))
        download_size += path.stat().st_size
    info = DatasetInfo(
        features=features(metadata.spaces),
        splits=splits,
        download_size=download_size,
        dataset_size=sum(split.num_bytes for split in splits.values()),
    )
    return dict(info._to_yaml_dict())  # the form in which push_to_hub writes it


def _files_section(sums: Mapping[str, str]) -> str:
    return f"\n## Files\n\n| file | sha256 |\n| --- | --- |\n{format_card_rows(sums)}"
