"""What a user's folder holds: its images, with the group, the part and the label files of each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.loaders.coco import coco_file
from cerberus_bench.loaders.folder_description import (
    FILE_NAME,
    WHERE_NO_FILE,
    FolderDescription,
    NotAnnotated,
    Objects,
)
from cerberus_bench.loaders.reader import Listing, SourceImage
from cerberus_bench.loaders.splits import SPLITS, natural_order
from cerberus_bench.loaders.tcga import group_of
from cerberus_bench.loaders.templates import fields_of, fill, pattern_of
from cerberus_bench.loaders.text_files import parse_csv
from cerberus_bench.schema.errors import DataError

MPP_OF_ROW, TISSUE_OF_ROW = "folder:mpp", "folder:tissue"
"""Attributes of a listed image for what its row or path says; a record does not keep them."""
MAX_TABLE_BYTES = 1 << 28

Fields = Mapping[str, str]


def class_file(task: str) -> str:
    """The kind of file that holds the classes of a task's objects."""
    return f"{task} classes"


@dataclass(frozen=True, slots=True)
class _Found:
    """An image on disk."""

    file: str
    fields: Fields
    """What its path says: record, and group, split, tissue where the template has them."""
    row: Fields
    """Its row in the table; empty without one."""

    @property
    def record(self) -> str:
        return self.fields["record"]

    def told(self, field: str, column: str | None, pattern: str | None) -> str:
        """A field from the column, from the name of the record, or from the path."""
        if column:
            value = self.row[column]
        elif pattern:
            match = pattern_of(pattern).match(self.record)
            value = match[field] if match else ""
        else:
            value = self.fields[field]
        if not value:
            where = f"column {column!r} is empty" if column else f"{pattern!r} does not fit it"
            raise DataError(
                f"{self.record}: its {field} is unknown, because {where}. Correct the table, or"
                f" {FILE_NAME}."
            )
        return value


def list_folder(tree: SourceTree, description: FolderDescription, base: str) -> Listing:
    """The images that have all that the description promises.

    Args:
        tree: the folder.
        description: its `dataset.toml`.
        base: where that lies in the tree: nothing, or a path that ends in /.

    Raises:
        DataError: there is no image, a table lacks a column, or what is stated does not fit.
    """
    rows = _rows(tree, description, base)
    paths = _paths(tree, description.images.files, base)
    table = description.images.table
    incomplete = [f"{r} has no image, and {table} lists it" for r in rows or () if r not in paths]
    incomplete += _orphans(tree, description, base, paths)
    _check_exceptions(description, set(paths))
    images = []
    for record, (file, fields) in paths.items():
        if rows is not None and record not in rows:
            incomplete.append(f"{record} has no row in {table}")
            continue
        found = _Found(file, fields, (rows or {}).get(record, {}))
        files, lacking = _label_files(tree, description, base, found)
        tissue, unlabelled = _tissue(description, found)
        if lacking or unlabelled:
            incomplete.append(f"{record} has no {' and no '.join((*lacking, *unlabelled))}")
        else:
            images.append(_image(description, found, {"image": file, **files}, tissue))
    _check_fixed(images, description)
    return Listing(images=tuple(images), incomplete=tuple(incomplete))


def _paths(tree: SourceTree, template: str, base: str) -> dict[str, tuple[str, Fields]]:
    """Record -> its image file and the fields of its path, in natural order."""
    below = [name for name in tree.names if name.startswith(base)]
    pattern = pattern_of(template)
    matches = {name: pattern.match(name.removeprefix(base)) for name in below}
    fields = {name: match.groupdict() for name, match in matches.items() if match}
    if not fields:
        others = ", ".join(name.removeprefix(base) for name in below[:4])
        raise DataError(
            f"{tree.root} holds no image {template}, which is images.files of {FILE_NAME}. What is"
            f" there begins with {others}. Correct images.files."
        )
    by_record = unique_by_key(tree, ((known["record"], name) for name, known in fields.items()))
    ordered = sorted(by_record, key=natural_order)
    return {record: (by_record[record], fields[by_record[record]]) for record in ordered}


def _rows(tree: SourceTree, description: FolderDescription, base: str) -> dict[str, Fields] | None:
    """Record -> its row in the table; None without a table."""
    images = description.images
    if images.table is None:
        return None
    name = base + images.table
    if name not in tree:
        raise DataError(f"{tree.root} holds no {name}, the images.table of {FILE_NAME}. Add it.")
    where = tree.where(name)
    rows: dict[str, Fields] = {}
    for row in parse_csv(tree.read(name, MAX_TABLE_BYTES), where, description.columns):
        record = row[images.record_column].strip()
        if record in rows:
            raise DataError(f"{where} has two rows for {record!r}. Keep one.")
        if record:
            rows[record] = {column: value.strip() for column, value in row.items()}
    return rows


def _orphans(
    tree: SourceTree,
    description: FolderDescription,
    base: str,
    paths: Mapping[str, tuple[str, Fields]],
) -> list[str]:
    """A sentence for each label file, or entry of a file for all, that belongs to no image."""
    sentences = []
    for task, how in description.tasks.objects.items():
        if "record" not in fields_of(how.files):
            sentences += _orphan_entries(tree, base + how.files, task, paths)
            continue
        pattern = pattern_of(how.files)
        for name in tree.names:
            match = pattern.match(name.removeprefix(base)) if name.startswith(base) else None
            if match and match["record"] not in paths:
                sentences.append(f"{match['record']} has {task} labels ({name}) and no image")
    return sentences


def _orphan_entries(
    tree: SourceTree, name: str, task: str, paths: Mapping[str, tuple[str, Fields]]
) -> list[str]:
    here = {PurePosixPath(file).name for file, _ in paths.values()}
    listed = coco_file(tree, name).images if name in tree else ()
    return [
        f"{image} has {task} labels (an entry in {name}) and no image"
        for image in listed
        if image not in here
    ]


def _check_exceptions(description: FolderDescription, records: set[str]) -> None:
    """Refuse a name under not_annotated that no image has."""
    tasks = description.tasks
    for task, how in {**tasks.objects, "tissue": tasks.tissue}.items():
        if how is None or how.not_annotated == WHERE_NO_FILE:
            continue
        unknown = [name for name in how.not_annotated if name not in records]
        if unknown:
            raise DataError(
                f"{FILE_NAME}: tasks.{task}.not_annotated names {unknown[0]!r}, and there is no"
                " such image. Correct or remove it."
            )


def _label_files(
    tree: SourceTree, description: FolderDescription, base: str, found: _Found
) -> tuple[dict[str, str], list[str]]:
    """Kind -> file for the tasks that are annotated on an image, and what is missing."""
    files: dict[str, str] = {}
    lacking: list[str] = []
    for task, how in description.tasks.objects.items():
        name = base + fill(how.files, found.fields)
        if _is_annotated(tree, name, found.file):
            _refuse_contradiction(found.record, how.not_annotated, task)
            files[task] = name
            if how.class_files:
                classes = base + fill(how.class_files, found.fields)
                files[class_file(task)] = classes
                lacking += [] if classes in tree else [f"{task} classes ({classes})"]
        elif not _may_lack(found.record, how.not_annotated):
            lacking.append(_missing_labels(task, how, name))
    return files, lacking


def _is_annotated(tree: SourceTree, labels: str, image: str) -> bool:
    """Whether the label file is there and, if it is COCO, lists the image."""
    if labels not in tree or not labels.lower().endswith(".json"):
        return labels in tree
    return PurePosixPath(image).name in coco_file(tree, labels).images


def _missing_labels(task: str, how: Objects, name: str) -> str:
    place = name if "record" in fields_of(how.files) else f"an entry in {name}"
    return (
        f"{task} labels ({place}; if it was not annotated, say so under tasks.{task}.not_annotated)"
    )


def _may_lack(record: str, excepted: NotAnnotated) -> bool:
    return excepted == WHERE_NO_FILE or record in excepted


def _refuse_contradiction(record: str, excepted: NotAnnotated, task: str) -> None:
    if excepted != WHERE_NO_FILE and record in excepted:
        raise DataError(
            f"{FILE_NAME}: tasks.{task}.not_annotated names {record!r}, which has labels. Remove"
            " the name or the labels."
        )


def _tissue(description: FolderDescription, found: _Found) -> tuple[str | None, list[str]]:
    """The tissue class of an image, and what is missing.

    Raises:
        DataError: the class is not mapped.
    """
    how = description.tasks.tissue
    if how is None:
        return None, []
    code = found.row[how.column] if how.column else found.fields["tissue"]
    if not code:
        lacks = not _may_lack(found.record, how.not_annotated)
        return None, ["tissue class"] if lacks else []
    _refuse_contradiction(found.record, how.not_annotated, "tissue")
    if code not in how.classes:
        raise DataError(
            f"{found.record}: class {code!r} is not among tasks.tissue.classes of {FILE_NAME}"
            f' ({", ".join(how.classes)}). Add it there: a class of the ontology, or "ignore".'
        )
    return code, []


def _image(
    description: FolderDescription, found: _Found, files: Fields, tissue: str | None
) -> SourceImage:
    images = description.images
    attributes = {c: found.row[c] for c in images.attribute_columns if found.row[c]}
    if images.mpp_column:
        attributes[MPP_OF_ROW] = _checked_mpp(found, images.mpp_column)
    if tissue:
        attributes[TISSUE_OF_ROW] = tissue
    group, level = _group(description, found)
    part, role = _part(description, found)
    return SourceImage(
        record=found.record,
        group=group,
        group_level=level,
        origins=_origins(description, found),
        official_split=part,
        role=role,
        files=files,
        attributes=attributes,
    )


def _group(description: FolderDescription, found: _Found) -> tuple[str, str]:
    """Group and level; a TCGA barcode is the patient, whatever dataset it stands in."""
    groups = description.groups
    is_image = groups.level == "image"
    own = found.record if is_image else found.told("group", groups.column, groups.pattern)
    group, level = group_of(own, f"{description.name}/{own}")
    return group, level if level == "patient" else groups.level


def _part(description: FolderDescription, found: _Found) -> tuple[str | None, str | None]:
    """The part as the owner's own split, or as a role that is fixed."""
    splits = description.splits
    if splits is None:
        return None, None
    part = found.told("split", splits.column, splits.pattern)
    if not splits.fixed:
        return part, None
    if part not in SPLITS:
        raise DataError(
            f"{found.record} is of the part {part!r}; with splits.fixed each is one of"
            f" {', '.join(SPLITS)}. Rename the part, or leave fixed out."
        )
    return None, part


def _origins(description: FolderDescription, found: _Found) -> tuple[str, ...]:
    column = description.images.origin_column
    origins = tuple(found.row[column].split()) if column else ()
    for origin in origins:
        dataset, _, image = origin.partition("/")
        if not dataset or not image:
            raise DataError(
                f"{found.record}: {column} is {origin!r}; expected dataset/image, such as"
                " glas/train_1. Correct the table."
            )
    return origins or (f"{description.name}/{found.record}",)


def _checked_mpp(found: _Found, column: str) -> str:
    text = found.row[column]
    try:
        is_right = 0.01 <= float(text) <= 100
    except ValueError:
        is_right = False
    if not is_right:
        raise DataError(
            f"{found.record}: {column} is {text!r}; expected microns per pixel, 0.01 to 100."
            " Correct the table."
        )
    return text


def _check_fixed(images: Iterable[SourceImage], description: FolderDescription) -> None:
    """Refuse fixed parts that tear a group."""
    roles: dict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.role:
            roles[image.group].add(image.role)
    torn = sorted(group for group, parts in roles.items() if len(parts) > 1)
    if torn:
        raise DataError(
            f"the {description.groups.level} {torn[0]} is in {' and '.join(sorted(roles[torn[0]]))}"
            f" ({len(torn)} such). Move its images into one part, or leave splits.fixed out: then"
            " the suite splits by groups."
        )
