"""`dataset.toml`: what a user says of a folder of their own images, read strictly."""

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from cerberus_bench.loaders.templates import fields_of
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, Licence, Redistribution
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import IGNORE, ONTOLOGY, LabelMap

FILE_NAME = "dataset.toml"
MAX_BYTES = 1 << 20
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".geojson", ".json")
CLASS_SUFFIXES = (".csv", ".png", ".tif", ".tiff", ".npy")
MAP_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
WHERE_NO_FILE = "where no file"
ANY_OBJECT = "every object"
"""Name of the only class of a task that says `one_class`."""


def _path(template: str) -> str:
    fields_of(template)
    return template


Text = Annotated[str, Field(min_length=1, max_length=1000)]
PathTemplate = Annotated[str, AfterValidator(_path)]
NotAnnotated = list[str] | Literal["where no file"]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LicenceOfFolder(_Part):
    """Under which terms the images stand."""

    id: Text
    redistribution: Literal["yes", "share-alike", "no"] = "no"
    note: str = ""


class Images(_Part):
    """Where the images are, and the table that tells more of each."""

    files: PathTemplate
    table: PathTemplate | None = None
    record_column: Text = "record"
    mpp_column: Text | None = None
    origin_column: Text | None = None
    attribute_columns: list[Text] = []

    @model_validator(mode="after")
    def _check(self) -> "Images":
        if fields_of(self.files).count("record") != 1 or "*" in self.files:
            raise ValueError("files needs {record} once, and no *")
        if self.table and fields_of(self.table):
            raise ValueError("table is one file, without fields in braces")
        if not self.table and (self.mpp_column or self.origin_column or self.attribute_columns):
            raise ValueError("columns are named, but no table")
        return self


class Groups(_Part):
    """What must never be torn between training and test."""

    level: Literal["patient", "slide", "image"]
    column: Text | None = None
    pattern: PathTemplate | None = None


class Splits(_Part):
    """Parts that the owner has made."""

    column: Text | None = None
    pattern: PathTemplate | None = None
    fixed: bool = False


class Objects(_Part):
    """How the objects of a task are written down."""

    files: PathTemplate
    values: Literal["ids", "classes"] = "ids"
    one_class: Text | None = None
    classes: dict[str, str] = {}
    class_files: PathTemplate | None = None
    class_property: Text = "classification.name"
    not_annotated: NotAnnotated = []

    @property
    def is_map(self) -> bool:
        """Whether labels are arrays of pixels."""
        return self.files.lower().endswith(MAP_SUFFIXES)

    @model_validator(mode="after")
    def _check(self) -> "Objects":
        _check_label_files(self.files)
        if bool(self.one_class) == bool(self.classes):
            raise ValueError("needs either one_class or classes")
        if self.values == "classes" and (not self.is_map or self.class_files or self.one_class):
            raise ValueError('values = "classes" goes with pixel maps and with classes alone')
        needs_files = self.is_map and bool(self.classes) and self.values == "ids"
        if needs_files != (self.class_files is not None):
            raise ValueError(
                "class_files goes with label maps of ids and with classes: it says which class"
                " each id has"
            )
        if self.class_files and not self.class_files.lower().endswith(CLASS_SUFFIXES):
            raise ValueError(f"class_files must end in {', '.join(CLASS_SUFFIXES)}")
        if self.class_files and "record" not in fields_of(self.class_files):
            raise ValueError("class_files needs {record}")
        return self


class Tissue(_Part):
    """Where the class of a patch stands: in a column, or in {tissue} of images.files."""

    column: Text | None = None
    classes: dict[str, str]
    not_annotated: NotAnnotated = []


class Tasks(_Part):
    """What is annotated."""

    nuclei: Objects | None = None
    gland: Objects | None = None
    lumen: Objects | None = None
    tissue: Tissue | None = None

    @property
    def objects(self) -> dict[str, Objects]:
        """Task -> how its objects are written down."""
        tasks = {"nuclei": self.nuclei, "gland": self.gland, "lumen": self.lumen}
        return {name: task for name, task in tasks.items() if task}

    @property
    def classes(self) -> dict[str, dict[str, str]]:
        """Task -> class in the folder -> node of the ontology."""
        found = {
            name: {ANY_OBJECT: task.one_class} if task.one_class else task.classes
            for name, task in self.objects.items()
        }
        return found | ({"tissue": self.tissue.classes} if self.tissue else {})

    @model_validator(mode="after")
    def _check(self) -> "Tasks":
        if not self.classes:
            raise ValueError(f"no task; name one of {', '.join(type(self).model_fields)}")
        for task, classes in self.classes.items():
            for name, node in classes.items():
                _check_node(task, name, node)
            if set(classes.values()) <= {IGNORE}:
                raise ValueError(f"{task}.classes: no class is mapped to the ontology")
        return self


class FolderDescription(_Part):
    """All of `dataset.toml`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    title: Text
    organ: str = ""
    mpp: Annotated[FiniteFloat, Field(ge=0.01, le=100)]
    licence: LicenceOfFolder
    citation: list[Text] = []
    notes: list[Text] = []
    images: Images
    groups: Groups
    splits: Splits | None = None
    tasks: Tasks

    @model_validator(mode="after")
    def _check(self) -> "FolderDescription":
        fields = fields_of(self.images.files)
        level = self.groups.level
        ways = _ways(self.groups.column, self.groups.pattern, "group", fields)
        if len(ways) != (level != "image"):
            raise ValueError(
                f"groups: level {level!r} needs {'no' if level == 'image' else 'exactly one'} way"
                " to tell them (column, pattern, or {group} in images.files)" + _found(ways)
            )
        splits = self.splits or Splits()
        ways = _ways(splits.column, splits.pattern, "split", fields)
        if len(ways) != (self.splits is not None):
            raise ValueError(
                "splits: [splits] needs exactly one way to tell them (column, pattern, or {split}"
                " in images.files), and {split} needs [splits]" + _found(ways)
            )
        if self.tasks.tissue and bool(self.tasks.tissue.column) == ("tissue" in fields):
            raise ValueError("tasks.tissue: needs either column or {tissue} in images.files")
        if splits.fixed and self.images.origin_column:
            raise ValueError(
                "splits.fixed: images with origins take the fold of their origin, so their parts"
                " cannot be fixed"
            )
        self._check_columns(splits)
        self._check_fields(fields)
        return self

    @property
    def columns(self) -> list[str]:
        """The columns that the table must have."""
        images, tissue = self.images, self.tasks.tissue
        columns = [
            images.record_column,
            images.mpp_column,
            images.origin_column,
            *images.attribute_columns,
            self.groups.column,
            self.splits.column if self.splits else None,
            tissue.column if tissue else None,
        ]
        return [column for column in columns if column]

    def _check_columns(self, splits: Splits) -> None:
        tissue = self.tasks.tissue.column if self.tasks.tissue else None
        if not self.images.table and (self.groups.column or splits.column or tissue):
            raise ValueError("images.table: a column is named, but no table")

    def _check_fields(self, known: tuple[str, ...]) -> None:
        for task, objects in self.tasks.objects.items():
            for template in filter(None, (objects.files, objects.class_files)):
                odd = [field for field in fields_of(template) if field not in known]
                if odd or "*" in template:
                    raise ValueError(
                        f"tasks.{task}: {template!r} has {'{' + odd[0] + '}' if odd else '*'},"
                        f" which images.files does not tell"
                    )


def parse_description(data: bytes, name: str) -> FolderDescription:
    """`dataset.toml`, checked.

    Raises:
        DataError: it is no TOML, or a field is missing, unknown or wrong.
    """
    try:
        document = json.dumps(tomllib.loads(data.decode("utf-8-sig")), default=_no_json)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{name} is no TOML ({error}). Correct it there.") from None
    except TypeError as error:
        raise DataError(f"{name}: {error}. Put it into quotes.") from None
    try:
        return FolderDescription.model_validate_json(document)
    except ValidationError as error:
        raise DataError(f"{name}: {_sentence(error)} docs/folder.md explains each field.") from None


def spec_of(description: FolderDescription) -> DatasetSpec:
    """What the suite knows about the dataset that a folder describes."""
    maps = description.tasks.classes
    return DatasetSpec(
        name=description.name,
        version=description.version,
        title=description.title,
        tasks=tuple(maps),
        label_maps={task: _label_map(task, classes) for task, classes in maps.items()},
        mpp=description.mpp,
        organ=description.organ,
        licence=Licence(
            description.licence.id,
            Redistribution(description.licence.redistribution),
            description.licence.note,
        ),
        citation=tuple(description.citation),
        home="own images",
        how_to_get=f"Which files belong to it stands in the {FILE_NAME} of its owner.",
        group_level=description.groups.level,
        evidence=Evidence.UNVERIFIED,
        notes=tuple(description.notes),
    )


def _label_map(task: str, classes: Mapping[str, str]) -> LabelMap:
    nodes: dict[int | str, str] = dict(classes.items())
    return LabelMap(task, nodes)


def _check_label_files(template: str) -> None:
    suffix = PurePosixPath(template).suffix.lower()
    if suffix not in LABEL_SUFFIXES:
        raise ValueError(f"files must end in {', '.join(LABEL_SUFFIXES)}")
    if "record" not in fields_of(template) and suffix != ".json":
        raise ValueError("files needs {record}; one file for all images can only be COCO .json")


def _check_node(task: str, name: str, node: str) -> None:
    nodes = (*ONTOLOGY[task], IGNORE)
    if node in nodes:
        return
    close = get_close_matches(node, nodes, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise ValueError(
        f"{task}: {name!r} is mapped to {node!r}, which is no class of the ontology. {hint}The"
        f" classes are {', '.join(nodes)}"
    )


def _ways(
    column: str | None, pattern: str | None, field: str, fields: tuple[str, ...]
) -> list[str]:
    if pattern is not None and fields_of(pattern) != (field,):
        raise ValueError(f"{field}s.pattern: {pattern!r} needs {{{field}}} once and no other field")
    stated = {"column": column, "pattern": pattern, f"{{{field}}}": field in fields}
    return [way for way, is_there in stated.items() if is_there]


def _found(ways: list[str]) -> str:
    return f"; found {' and '.join(ways)}" if ways else "; found none"


def _no_json(value: object) -> str:
    raise TypeError(f"{value} is a {type(value).__name__}, which no field takes")


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong: field, value, reason."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "the file"
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{place} is missing. Add it."
    if first["type"] == "extra_forbidden":
        return f"{place} is no field{_near(first['loc'])}. Remove or rename it."
    value = "" if isinstance(first["input"], Mapping) else f" is {_short(first['input'])}"
    return f"{place}{value}: {reason}."


def _near(place: tuple[int | str, ...]) -> str:
    """A known field of nearly that name."""
    model: Any = FolderDescription
    for step in place[:-1]:
        field = model.model_fields[str(step)].annotation
        inner = [t for t in (field, *getattr(field, "__args__", ())) if isinstance(t, type)]
        model = next(t for t in inner if issubclass(t, BaseModel))
    close = get_close_matches(str(place[-1]), list(model.model_fields), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
