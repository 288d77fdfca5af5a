"""How fast training windows come: ours against the usual ways to feed a network.

Every way gives the same number of crops of the phantom's training scenes, images and nuclear label
maps. Ours also augments the crops and makes the targets of all tasks, which the others leave to be
done; it keeps decoded records in memory, which is why its first pass is a row of its own.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import Row
from cerberus_bench.model_zoo.batches import BatchMaker, TrainingPlan, prefetched
from cerberus_bench.model_zoo.recipe import load_recipe
from cerberus_bench.model_zoo.registry import OUTPUTS
from cerberus_bench.model_zoo.samples import SampleStore, codes_of
from cerberus_bench.workflows.data import load, open_data

CROP = 224
N_IMAGES = 120
N_CROPS = 480
WORKERS = 2


def rows() -> Iterator[Row]:
    first, again = ours_seconds()
    yield Row(_what("ours, first pass with decoding", first), 1000 * first, "none", None, "")
    scenes = load("phantom", split="train").filter(
        lambda nuclei: nuclei is not None, input_columns="nuclei"
    )
    scenes = scenes.select(range(N_IMAGES))
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            "datasets + DataLoader": lambda: Rows(scenes),
            "PNG folder + DataLoader": lambda: write_png(scenes, Path(folder)),
            "h5 file + DataLoader": lambda: write_h5(scenes, Path(folder) / "scenes.h5"),
        }
        for name, make in ways.items():
            seconds = loader_seconds(make())
            yield Row(_what("ours", again), 1000 * again, name, 1000 * seconds, "")


def _what(who: str, seconds: float) -> str:
    return f"{N_CROPS} crops of {CROP} px, {who} ({N_CROPS / seconds:,.0f} a second)"


def ours_seconds() -> tuple[float, float]:
    """Seconds for all crops with augmentation and targets: from cold records, then from memory."""
    recipe, source = load_recipe("default"), open_data("phantom", split="train")
    begin = time.perf_counter()
    codes = codes_of(OUTPUTS, [source])
    store = SampleStore([source], OUTPUTS, codes)
    plan, maker = TrainingPlan(store.entries, recipe, seed=0), BatchMaker(store, recipe)
    n_batches = N_CROPS // recipe.batches.size

    def take(start: int) -> None:
        batches = prefetched(lambda step: maker.make(plan.windows(step), []), start)
        for _ in islice(batches, n_batches):
            pass
        batches.close()

    take(0)
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    take(n_batches)
    return first, time.perf_counter() - begin


def loader_seconds(dataset: "torch.utils.data.Dataset[Any]") -> float:
    """Seconds for all crops through a DataLoader with workers, after they have started."""
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, num_workers=WORKERS)
    batches = iter(loader)
    next(batches)
    begin = time.perf_counter()
    n = sum(len(image) for image, _ in batches)
    return (time.perf_counter() - begin) * N_CROPS / n


def crop(image: Any, labels: Any, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same random crop of both arrays, copied out of them."""
    rng = np.random.default_rng(index)
    y, x = (int(rng.integers(length - CROP + 1)) for length in image.shape[:2])
    window = slice(y, y + CROP), slice(x, x + CROP)
    part = np.ascontiguousarray(image[window].transpose(2, 0, 1))
    return torch.from_numpy(part), torch.from_numpy(labels[window].astype(np.int32))


class Rows(torch.utils.data.Dataset[Any]):
    """Crops of rows that `datasets` decodes whole."""

    def __init__(self, scenes: Any) -> None:
        self.scenes = scenes.select_columns(["image", "nuclei"])

    def __len__(self) -> int:
        return N_CROPS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = self.scenes[index % N_IMAGES]
        return crop(np.asarray(row["image"]), np.asarray(row["nuclei"]), index)


class Arrays(torch.utils.data.Dataset[Any]):
    """Crops of arrays that a function reads; it is called in the worker."""

    def __init__(self, read: Callable[[int], tuple[Any, Any]]) -> None:
        self.read = read

    def __len__(self) -> int:
        return N_CROPS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return crop(*self.read(index % N_IMAGES), index)


def write_png(scenes: Any, folder: Path) -> Arrays:
    """A folder of PNG files."""
    for i, row in enumerate(scenes):
        row["image"].save(folder / f"{i}_image.png")
        row["nuclei"].save(folder / f"{i}_nuclei.png")
    return Arrays(
        lambda i: tuple(
            np.asarray(Image.open(folder / f"{i}_{part}.png")) for part in ("image", "nuclei")
        )
    )


def write_h5(scenes: Any, path: Path) -> Arrays:
    """One h5 file of compressed chunks, a scene each; opened anew in every worker."""
    import h5py

    with h5py.File(path, "w") as file:
        for i, row in enumerate(scenes):
            for part in ("image", "nuclei"):
                array = np.asarray(row[part])
                file.create_dataset(f"{i}/{part}", data=array, chunks=True, compression="gzip")
    opened: list[Any] = []

    def read(i: int) -> tuple[Any, Any]:
        if not opened:
            opened.append(h5py.File(path, "r"))
        return opened[0][f"{i}/image"][:], opened[0][f"{i}/nuclei"][:]

    return Arrays(read)
