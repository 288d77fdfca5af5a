"""What is to be computed of a slide: `plan.json`, which a later run must agree with to go on."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from cerberus_bench import __version__
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.report import STRICT
from cerberus_bench.schema.running import SHARD_PX
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.grid import (
    BLOCK_PX,
    HALO_PX,
    Box,
    WindowLattice,
    WorkGrid,
    check_shard_px,
    squares,
)
from cerberus_bench.slides.reader import Pixels, SlideReader
from cerberus_bench.slides.tissue import (
    RULE,
    TissueCounts,
    find_tissue,
    overview,
    read_mask,
    thumbnail,
)

if TYPE_CHECKING:
    from cerberus_bench.slides.model import SlideModel

MAX_BYTES = 20_000_000


class PlannedSlide(BaseModel):
    """Which file it is."""

    model_config = STRICT

    name: str
    reader: str
    bytes: int
    sha256_of_ends: str
    width: int
    height: int
    mpp_x: float
    mpp_y: float


class PlannedModel(BaseModel):
    """Which network, and how it is run."""

    model_config = STRICT

    name: str
    sha256: str | None
    mpp: float
    label_spaces: dict[str, list[str]]
    mode: str
    precision: str
    backend: str
    device: str

    @property
    def run(self) -> str:
        """How it is run, as far as that changes more than the last digits."""
        return f"{self.mode} {self.precision} {self.backend}"


class Layout(BaseModel):
    """How the slide is cut up. All but `shard_px` may change numbers."""

    model_config = STRICT

    factor: float
    """Level-0 px a work px."""
    kept_px: int
    margin_px: int
    windows_a_batch: int
    shard_px: int
    block_px: int
    halo_px: int


class Plan(BaseModel):
    """`plan.json`."""

    model_config = STRICT

    format: Literal[1] = 1
    version: str
    """Of this package."""
    slide: PlannedSlide
    model: PlannedModel
    layout: Layout
    tissue_rule: str
    """`RULE`, or the hash of the user's mask."""
    tissue_sha256: str
    """Of the mask that came of it: see `tissue_hash`."""
    tissue_px_read: int
    """What finding the tissue cost, px of the slide's levels."""
    shards: list[Box]
    """Boxes y0, x0, y1, x1 in work px, in raster order; glass has none."""

    @property
    def grid(self) -> WorkGrid:
        """The slide at the model's resolution."""
        return WorkGrid(self.slide.width, self.slide.height, self.layout.factor)

    @property
    def lattice(self) -> WindowLattice:
        """Where windows lie."""
        return WindowLattice(self.layout.kept_px, self.layout.margin_px)

    @property
    def facts(self) -> SlideFacts:
        """What files about the slide say of it."""
        return SlideFacts(
            name=self.slide.name,
            width=self.slide.width,
            height=self.slide.height,
            mpp_x=self.slide.mpp_x,
            mpp_y=self.slide.mpp_y,
            model=self.model.name,
            model_sha256=self.model.sha256,
            model_mpp=self.model.mpp,
            model_run=self.model.run,
            label_spaces={
                task: LabelSpace(task, tuple(names))
                for task, names in self.model.label_spaces.items()
            },
        )


@dataclass(frozen=True, slots=True)
class PlannedPictures:
    """What planning a slide found, besides the plan."""

    tissue: NDArray[np.bool_]
    """(H, W) over the whole slide."""
    thumbnail: Pixels
    """(H, W, 3) of the whole slide."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for, as far as it decides what is computed."""

    shard_px: int = SHARD_PX
    """Side of a shard, a multiple of 1024 work px."""
    mask: Path | None = None
    """The user's own tissue mask: an image over the whole slide, nonzero = tissue."""


def make_plan(reader: SlideReader, model: "SlideModel", wish: Wish) -> tuple[Plan, PlannedPictures]:
    """Find the tissue of a slide and the shards that meet it.

    Raises:
        DataError: the shard size is impossible, the mask unreadable, or the slide damaged.
    """
    plan = plan_without_shards(reader, model, wish)
    picture = overview(reader)
    tissue = find_tissue(picture) if wish.mask is None else read_mask(wish.mask)
    plan.facts.check_whole(tissue.shape, "tissue mask")
    counts = TissueCounts(tissue, plan.grid)
    shards = [
        core
        for core in squares(plan.grid, wish.shard_px)
        if any(True for _ in windows_meeting(core, plan.lattice, counts))
    ]
    found = {
        "shards": shards,
        "tissue_px_read": picture.px_read,
        "tissue_sha256": tissue_hash(tissue),
    }
    return plan.model_copy(update=found), PlannedPictures(tissue, thumbnail(picture))


def plan_without_shards(reader: SlideReader, model: "SlideModel", wish: Wish) -> Plan:
    """What a plan says without looking at the slide's pixels."""
    check_shard_px(wish.shard_px)
    n_bytes, ends = reader.identity()
    (width, height), (mpp_x, mpp_y) = reader.size_px, reader.mpp
    downsamples = [level.downsample for level in reader.levels]
    mpp = (mpp_x + mpp_y) / 2
    return Plan(
        version=__version__,
        slide=PlannedSlide(
            name=reader.name,
            reader=reader.kind,
            bytes=n_bytes,
            sha256_of_ends=ends,
            width=width,
            height=height,
            mpp_x=mpp_x,
            mpp_y=mpp_y,
        ),
        model=model.planned,
        layout=Layout(
            factor=WorkGrid.of(reader.size_px, mpp, model.planned.mpp, downsamples).factor,
            kept_px=model.tiling.kept_px,
            margin_px=model.tiling.margin_px,
            windows_a_batch=model.windows_a_batch,
            shard_px=wish.shard_px,
            block_px=BLOCK_PX,
            halo_px=HALO_PX,
        ),
        tissue_rule=RULE if wish.mask is None else f"mask:{_hash(wish.mask)}",
        tissue_sha256="",
        tissue_px_read=0,
        shards=[],
    )


def tissue_hash(tissue: NDArray[np.bool_]) -> str:
    """SHA-256 of a mask's size and pixels."""
    return sha256(repr(tissue.shape).encode() + np.packbits(tissue).tobytes()).hexdigest()


def differences(found: Plan, wanted: Plan) -> list[str]:
    """Where a plan is another one than that of `plan_without_shards`, one line a field."""
    lines = []
    for part in ("version", "slide", "model", "layout", "tissue_rule"):
        old, new = (_fields(part, getattr(plan, part)) for plan in (found, wanted))
        lines += [
            f"{name} is {old[name]}, not {new[name]}" for name in old if old[name] != new[name]
        ]
    return lines


def windows_meeting(box: Box, lattice: WindowLattice, tissue: TissueCounts) -> Iterator[Box]:
    """Kept boxes, in raster order, of the windows that meet a box inside the slide and tissue."""
    rows, columns = lattice.meeting(box)
    for row in rows:
        for column in columns:
            kept = lattice.kept(row, column)
            if tissue.meets(kept):
                yield kept


def part_of(plan: Plan, index: int, n: int) -> int:
    """Which i of `--shard i/n` does a shard, 1..n.

    Parts take turns. Which one begins depends on the slide's name, so that among many small slides
    no part has more to do than others.
    """
    return (index + crc32(plan.slide.name.encode())) % n + 1


def read_plan(path: Path) -> Plan:
    """Read `plan.json`.

    Raises:
        DataError: it is missing, too large, or no plan of this version.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} is too large for the plan of a slide")
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). Give a slide's folder from `predict`."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is no plan of a slide ({where}: {first['msg']}). Predict the slide again with"
            " --overwrite."
        ) from None


def _fields(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, BaseModel):
        return {name: value}
    return {f"{name}.{key}": field for key, field in value.model_dump().items()}


def _hash(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: not a readable mask ({error.strerror}).") from None
