"""The folder of one slide: its plan, the shards that are done, and what they were joined to.

Every file appears under its name when it is complete, and a shard with its files at once, so that
a run may be killed at any moment and go on later.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, NonNegativeFloat, ValidationError

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import STRICT, Count
from cerberus_bench.slides.model import SlideModel
from cerberus_bench.slides.plan import (
    Plan,
    PlannedPictures,
    Wish,
    differences,
    make_plan,
    plan_without_shards,
    read_plan,
    tissue_hash,
)
from cerberus_bench.slides.reader import Pixels, SlideReader
from cerberus_bench.slides.summary import FILE_NAME
from cerberus_bench.slides.tissue import read_mask

TISSUE, THUMBNAIL, DONE = "tissue.png", "thumbnail.jpg", "done.json"
PART = ".part-"
"""Between the name of a file or shard and a random one, while it is being written."""


class ShardRecord(BaseModel):
    """`done.json` of a shard: hashes of its files, and what it took (no part of the result)."""

    model_config = STRICT

    files: dict[str, str]
    """Name -> SHA-256."""
    seconds: NonNegativeFloat
    px_read: Count
    """Slide pixels that were read, of the level that they were read at."""
    px_needed: NonNegativeFloat
    """The same, if every pixel of the shard that a window decides were read just once."""
    n_nuclei: Count
    part: tuple[int, int] | None
    """i, n of `--shard i/n`; None where the slide was done as a whole."""


@dataclass(frozen=True, slots=True)
class SlideFolder:
    """Paths of one slide, and what lies there."""

    path: Path

    @property
    def plan_path(self) -> Path:
        """Written last of what planning writes."""
        return self.path / "plan.json"

    @property
    def objects_path(self) -> Path:
        """All objects of the slide."""
        return self.path / "objects.parquet"

    @property
    def summary_path(self) -> Path:
        """Written last of all: a slide that has it is finished."""
        return self.path / FILE_NAME

    def begin(self, reader: SlideReader, model: SlideModel, wish: Wish) -> None:
        """Plan a slide, or make sure that the plan that is here is the same.

        Raises:
            DataError: it is another plan, or the slide is damaged.
        """
        if not self.plan_path.exists():
            self._refuse_others()
            self.write_plan(*make_plan(reader, model, wish))
        elif lines := differences(self.plan(), plan_without_shards(reader, model, wish)):
            raise DataError(
                f"{self.path} holds another plan: {'; '.join(lines)}. Go on with the same slide,"
                " model and options, give another --out, or begin anew with --overwrite."
            )

    def write_plan(self, plan: Plan, pictures: PlannedPictures) -> None:
        """Begin a slide: its tissue, its thumbnail and, last, its plan."""
        from PIL import Image

        tissue = Image.fromarray(pictures.tissue.astype(np.uint8) * 255)
        thumbnail = Image.fromarray(pictures.thumbnail)
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / TISSUE, lambda path: tissue.save(path, "PNG"))
        write_whole(self.path / THUMBNAIL, lambda path: thumbnail.save(path, "JPEG", quality=90))
        text = plan.model_dump_json(indent=1) + "\n"
        write_whole(self.plan_path, lambda path: path.write_text(text, encoding="utf-8"))

    def plan(self) -> Plan:
        """Read the plan."""
        return read_plan(self.plan_path)

    def tissue(self, plan: Plan) -> NDArray[np.bool_]:
        """Read the tissue mask, (H, W).

        Raises:
            DataError: it is not the one that the plan was made with.
        """
        mask = read_mask(self.path / TISSUE)
        if tissue_hash(mask) != plan.tissue_sha256:
            raise DataError(
                f"{self.path / TISSUE} is not the mask that {self.plan_path.name} was made with. To"
                " look elsewhere, begin anew with --mask FILE --overwrite."
            )
        return mask

    def thumbnail(self) -> Pixels:
        """Read the thumbnail, (H, W, 3).

        Raises:
            DataError: it is missing or damaged.
        """
        from PIL import Image

        path = self.path / THUMBNAIL
        try:
            with Image.open(path) as picture:
                return np.asarray(picture.convert("RGB"))
        except OSError as error:
            raise DataError(
                f"{path} cannot be read ({error}). Predict the slide again with --overwrite."
            ) from None

    def shard(self, index: int) -> Path:
        """Folder of a shard."""
        return self.path / "shards" / f"{index:05d}"

    def record(self, index: int) -> ShardRecord | None:
        """Record of a shard whose files are as it says; None where it has to be done (again)."""
        folder = self.shard(index)
        try:
            record = ShardRecord.model_validate_json((folder / DONE).read_bytes())
            intact = all(
                hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
                for name, digest in record.files.items()
            )
        except (OSError, ValidationError):
            return None
        return record if intact else None

    def missing(self, plan: Plan) -> Iterator[int]:
        """Shards that are not done, or damaged, in order."""
        yield from (i for i in range(len(plan.shards)) if self.record(i) is None)

    def write_shard(self, index: int, files: Mapping[str, bytes], record: ShardRecord) -> None:
        """Write a shard; its folder appears when it is complete."""
        folder = self.shard(index)
        part = folder.with_name(f"{folder.name}{PART}{uuid4().hex}")
        part.mkdir(parents=True)
        for name, content in files.items():
            (part / name).write_bytes(content)
        text = record.model_dump_json(indent=1) + "\n"
        (part / DONE).write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            part.rename(folder)
        except OSError:
            # Another process may have done the same shard meanwhile, with the same bytes.
            shutil.rmtree(part)
            if self.record(index) is None:
                raise

    def clean_shard(self, index: int) -> None:
        """Remove what runs that were killed left of a shard."""
        for part in self.shard(index).parent.glob(f"{index:05d}{PART}*"):
            shutil.rmtree(part, ignore_errors=True)

    def clean(self) -> None:
        """Remove what killed runs left, of files and shards; only when no run is under way."""
        for part in self.path.glob(f"*{PART}*"):
            part.unlink(missing_ok=True)
        for part in self.path.glob(f"shards/*{PART}*"):
            shutil.rmtree(part, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder of a slide.

        Raises:
            DataError: it holds no plan, so it may be anything.
        """
        if self.path.exists() and not self.plan_path.is_file():
            raise DataError(
                f"{self.path} is there and holds no slide. Remove it, or give another --out."
            )
        shutil.rmtree(self.path, ignore_errors=True)

    def _refuse_others(self) -> None:
        """Refuse a folder that holds anything but what a killed run may have left of a plan."""
        names = [path.name for path in self.path.glob("*")]
        if any(PART not in name and name not in (TISSUE, THUMBNAIL) for name in names):
            raise DataError(
                f"{self.path} is there and holds no slide. Remove it, or give another --out."
            )


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file that appears under its name when it is complete."""
    part = path.with_name(f"{path.name}{PART}{uuid4().hex}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
