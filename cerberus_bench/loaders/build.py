"""A source on disk into a harmonised folder."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.card import write_card
from cerberus_bench.loaders.columns import Row, to_row
from cerberus_bench.loaders.folders import check_replaceable, whole_folder
from cerberus_bench.loaders.harmonise import HARMONISER_VERSION, harmonise
from cerberus_bench.loaders.metadata import TableMetadata, fingerprint_of, write_metadata
from cerberus_bench.loaders.parallel import in_order
from cerberus_bench.loaders.reader import Listing, Reader, SourceImage
from cerberus_bench.loaders.splits import (
    SPLITS,
    STORED_FOLD,
    RecordKey,
    components_of,
    folds_of,
    official_overlap,
    splits_of,
)
from cerberus_bench.loaders.tally import WHOLE, Tally
from cerberus_bench.loaders.writer import TableWriter
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.machine import usable_cores
from cerberus_bench.schema.tasks import TARGET_MPP

Progress = Callable[[int, int, str], None]
"""Called with images done, images in all, and the image just done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmoniseSummary:
    """What came of a source."""

    dataset: str
    out: Path
    mpp: float | None
    n_images: int
    n_records: int
    objects: Mapping[str, Mapping[str, int]]
    """Task -> official part -> objects in the source."""
    missing: Mapping[str, int]
    """Official part -> images of the complete source that are not here."""
    incomplete: tuple[str, ...]
    """Images left out because a companion file is missing."""
    n_lost: int
    """Instances that vanished in resampling."""
    notes: Mapping[str, int]
    """What was done to annotations (polygons skipped, cut, hidden ...) -> how often."""
    splits: Mapping[str, int]
    """Split -> records, fold 3 as test; empty splits are not listed."""
    classes: Mapping[str, Mapping[str, int]]
    """Task -> class -> instances or patches written."""
    fingerprint: str
    audit: tuple[str, ...]
    """Sentences on what deserves a look."""
    workers: int
    seconds: float
    """Wall time, from opening the source to the last byte written."""
    images_per_s: float
    mb_per_s: float
    """Decoded native images, 3 bytes a pixel, in 10^6 bytes a second."""


def harmonise_source(
    reader: Reader,
    source: Path | None,
    out: Path,
    *,
    mpp: float | None = TARGET_MPP,
    allow_partial: bool = False,
    roles: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> HarmoniseSummary:
    """Read a source, bring it to one resolution, assign folds and splits, and write the folder.

    Args:
        reader: from `registry.get`.
        source: folder or zip of the source; None for one that is generated.
        out: the folder to write. It appears whole or not at all; one that holds the same dataset
            is replaced.
        mpp: microns per pixel of the result; None keeps the source's.
        allow_partial: go on where images of the complete source are missing.
        roles: write only these splits of a source that fixes its splits.
        workers: images that are worked on at a time, at most; None = one for each core that this
            process may use. Each takes the memory of one decoded image and what is made of it.
            What is written does not depend on it.
        progress: told after each image.

    Raises:
        DataError: the source is not what it should be or not complete, or `out` holds something
            else.
    """
    spec = reader.spec
    check_replaceable(out, spec.name)
    if mpp is not None and not 0.05 <= mpp <= 20:
        raise DataError(f"--mpp {mpp} is out of range; give microns per pixel, 0.05 to 20")
    if workers is not None and workers < 1:
        raise DataError(f"--workers {workers} is out of range; give 1 or more")
    started, workers = perf_counter(), workers or usable_cores()
    tally = Tally()
    with SourceTree(source) if source else SourceTree.empty() as tree:
        listing = reader.find(tree)
        missing = _missing(spec, listing)
        if not allow_partial:
            _refuse_partial(spec, missing, listing, tree.root)
        images = [i for i in listing.images if roles is None or i.role in roles]
        places = _assign(images)
        with whole_folder(out) as draft:
            with TableWriter(draft, spec.label_spaces) as table:
                work = partial(_one_image, reader, tree, mpp)
                placed = list(zip(images, places, strict=True))
                for done, (counts, rows) in enumerate(in_order(work, placed, workers), 1):
                    tally.add(counts)
                    for row in rows:
                        table.add_row(row)
                    if progress:
                        progress(done, len(images), images[done - 1].record)
            metadata = _metadata(spec, mpp, listing, images, missing, tally, table)
            write_metadata(metadata, draft)
            (draft / "README.md").write_text(write_card(spec, metadata), encoding="utf-8")
    seconds = perf_counter() - started
    return _summary(out, listing, tally, metadata, _audit(spec, metadata, tally), workers, seconds)


def _one_image(
    reader: Reader, tree: SourceTree, mpp: float | None, placed: tuple[SourceImage, tuple[int, str]]
) -> tuple[Tally, list[Row]]:
    """What is counted and what is written of one image; several threads call this."""
    image, (fold, split) = placed
    spaces, tally = reader.spec.label_spaces, Tally()
    found = reader.read(tree, image)
    tally.add_source(found)
    rows = []
    for record in harmonise(found.record, mpp):
        tally.add_harmonised(record, spaces)
        rows.append(to_row(dataclasses.replace(record, fold=fold, split=split), spaces))
    return tally, rows


def _missing(spec: DatasetSpec, listing: Listing) -> dict[str, int]:
    found = Counter(image.official_split or image.role or WHOLE for image in listing.images)
    lacking = {part: n - found[part] for part, n in spec.expected_images.items()}
    return {part: n for part, n in lacking.items() if n > 0}


def _refuse_partial(
    spec: DatasetSpec, missing: Mapping[str, int], listing: Listing, root: Path
) -> None:
    if not missing and not listing.incomplete:
        return
    counts = [f"{n} of {spec.expected_images[part]} {part} images" for part, n in missing.items()]
    raise DataError(
        f"{root} is not all of {spec.name}: missing are {', '.join(counts) or 'companion files'}."
        + "".join(f" {sentence}." for sentence in listing.incomplete[:5])
        + f" Add them, or go on without by --allow-partial. {spec.how_to_get}"
    )


def _assign(images: Sequence[SourceImage]) -> list[tuple[int, str]]:
    """Fold and split of each image."""
    if any(image.role for image in images):
        return [_fixed(image) for image in images]
    keys = [
        RecordKey(sample_id=image.record, group=image.group, origins=image.origins)
        for image in images
    ]
    components = components_of(keys)
    folds = folds_of(keys, components)
    return list(zip(folds, splits_of(folds, components, STORED_FOLD), strict=True))


def _fixed(image: SourceImage) -> tuple[int, str]:
    """Roles that the source fixes stand as folds 1, 2 and 3 in the order of `SPLITS`."""
    if image.role not in SPLITS:
        raise ValueError(f"{image.record}: {image.role!r} is not one of {SPLITS}")
    return SPLITS.index(image.role) + 1, image.role


def _metadata(
    spec: DatasetSpec,
    mpp: float | None,
    listing: Listing,
    images: Sequence[SourceImage],
    missing: Mapping[str, int],
    tally: Tally,
    table: TableWriter,
) -> TableMetadata:
    groups: dict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.official_split:
            groups[image.official_split].add(image.group)
    for part, members in listing.official_groups.items():
        groups[part].update(members)
    official = Counter(image.official_split for image in images if image.official_split)
    return TableMetadata(
        name=spec.name,
        version=spec.version,
        title=spec.title,
        harmoniser_version=HARMONISER_VERSION,
        mpp=mpp,
        synthetic=spec.synthetic,
        licence=spec.licence.id,
        redistribution=str(spec.licence.redistribution),
        group_level=spec.group_level,
        label_spaces={task: list(space.classes) for task, space in spec.label_spaces.items()},
        fixed_roles=any(image.role for image in images),
        fingerprint=fingerprint_of(table.hashes),
        splits=table.n_records,
        official_splits=_in_order(official, spec),
        objects={task: _in_order(by, spec) for task, by in tally.objects.items()},
        missing=dict(missing),
        notes=dict(tally.notes),
        n_lost=tally.n_lost,
        official_overlap=official_overlap({p: sorted(members) for p, members in groups.items()}),
    )


def _in_order(counts: Mapping[str, int], spec: DatasetSpec) -> dict[str, int]:
    """Counts a part in the order in which the spec lists the parts, others last."""
    parts = [part for part in spec.expected_images if part in counts]
    return {part: counts[part] for part in (*parts, *sorted(set(counts) - set(parts)))}


def _audit(spec: DatasetSpec, metadata: TableMetadata, tally: Tally) -> tuple[str, ...]:
    lines = []
    for split in SPLITS:
        if split not in metadata.splits and not metadata.fixed_roles:
            lines.append(f"the {split} split is empty")
    for copies in tally.same_pixels.values():
        if len(copies) > 1:
            lines.append(f"{', '.join(copies)} have the same pixels")
    if tally.empty:
        lines.append(f"{len(tally.empty)} records hold no object: {', '.join(tally.empty[:3])}")
    for task, space in spec.label_spaces.items():
        if task in tally.classes:
            unseen = [name for name in space.classes if not tally.classes[task][name]]
            lines += [f"no {task} of class {name}" for name in unseen]
    for task, expected in spec.expected_objects.items():
        found = sum(tally.objects[task].values())
        if not metadata.missing and found != expected:
            lines.append(f"{found} {task} objects in the source, {expected} expected")
    return tuple(lines)


def _summary(
    out: Path,
    listing: Listing,
    tally: Tally,
    metadata: TableMetadata,
    audit: tuple[str, ...],
    workers: int,
    seconds: float,
) -> HarmoniseSummary:
    return HarmoniseSummary(
        dataset=metadata.name,
        out=out,
        mpp=metadata.mpp,
        n_images=tally.n_images,
        n_records=sum(metadata.splits.values()),
        objects=metadata.objects,
        missing=metadata.missing,
        incomplete=listing.incomplete,
        n_lost=tally.n_lost,
        notes=metadata.notes,
        splits=metadata.splits,
        classes={task: dict(counts) for task, counts in tally.classes.items()},
        fingerprint=metadata.fingerprint,
        audit=audit,
        workers=workers,
        seconds=seconds,
        images_per_s=tally.n_images / seconds,
        mb_per_s=tally.n_bytes / 1e6 / seconds,
    )
