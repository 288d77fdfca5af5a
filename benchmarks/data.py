"""How fast training windows come: ours against the usual ways to feed a network.

Every way gives the very same crops, image and nuclear label map, in batches of the same size; one
pass that is not counted compares them. The ways take turns, and each figure is a median. A first
pass starts from closed files: workers, threads and decoding count. A later pass goes on with what
the first left: ours keeps decoded records in memory, as `arrays in memory` does; the others decode
anew. What training also asks of ours, random views and the targets of all tasks, are rows of their
own; colours change later, on the device of the network.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.timing import Row
from cerberus_bench.model_zoo.augment import View, cut, turned
from cerberus_bench.model_zoo.batches import BatchMaker, TrainingPlan, Window, prefetched
from cerberus_bench.model_zoo.recipe import load_recipe
from cerberus_bench.model_zoo.registry import OUTPUTS
from cerberus_bench.model_zoo.samples import SampleStore, codes_of
from cerberus_bench.schema.record import Record, RecordSource
from cerberus_bench.workflows.data import load, open_data

CROP = 224
N_IMAGES = 60
N_CROPS = 240
BATCH = 8
REPEATS = 3
WORKERS = 2
"""Worker processes of a DataLoader; ours makes batches in as many threads."""

Batches = Iterator[Any]
"""Of `BATCH` images (3, CROP, CROP) uint8 and label maps (CROP, CROP) int32, as tensors."""


def rows() -> Iterator[Row]:
    scenes = load("phantom", split="train").filter(
        lambda nuclei: nuclei is not None, input_columns="nuclei"
    )
    scenes = scenes.select(range(N_IMAGES)).select_columns(["sample_id", "image", "nuclei"])
    source = Chosen(open_data("phantom", split="train"), scenes["sample_id"])
    with tempfile.TemporaryDirectory() as folder:
        png, h5 = Path(folder), Path(folder) / "scenes.h5"
        write_png(scenes, png)
        write_h5(scenes, h5)
        ours: dict[str, Callable[[], Any]] = {
            "ours": lambda: Ours(source),
            "ours, random views": lambda: OursInTraining(source, targets=False),
            "ours, random views and targets of all tasks": lambda: OursInTraining(source),
        }
        others: dict[str, Callable[[], Any]] = {
            "datasets + DataLoader": lambda: Loaded(Rows(scenes)),
            "PNG folder + DataLoader": lambda: Loaded(Pngs(png)),
            "h5 file + DataLoader": lambda: Loaded(H5(h5)),
            "arrays in memory + DataLoader": lambda: Loaded(Arrays(scenes)),
        }
        same = {name: str(same_batches(ours["ours"], make)) for name, make in others.items()}
        first, later = pass_ms(ours | others)
    for what, ms in (("first pass", first), ("later pass", later)):
        for name in others:
            yield Row(_what(what, "ours", ms), ms["ours"], name, ms[name], same[name])
    for name in ours:
        if name != "ours":
            yield Row(_what("later pass", name, later), later[name], "none", None, "")


def _what(which: str, who: str, ms: dict[str, float]) -> str:
    rate = 1000 * N_CROPS / ms[who]
    return f"{which}, {N_CROPS} crops of {CROP} px, {who} ({rate:,.0f} a second)"


def pass_ms(ways: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Median milliseconds of the first and of a later pass of every way; they take turns."""
    first: dict[str, list[float]] = {name: [] for name in ways}
    later: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, make in ways.items():
            begin = time.perf_counter()
            with closing(make()) as way:
                for kept in (first[name], later[name]):
                    n = sum(len(batch[0]) for batch in way.batches())
                    kept.append(1000 * (time.perf_counter() - begin))
                    assert n == N_CROPS
                    begin = time.perf_counter()
    medians = [{n: statistics.median(ms) for n, ms in kept.items()} for kept in (first, later)]
    return medians[0], medians[1]


def same_batches(make: Callable[[], Any], other: Callable[[], Any]) -> bool:
    """Whether two ways give the same bytes in the same order."""
    with closing(make()) as mine, closing(other()) as its:
        pairs = zip(mine.batches(), its.batches(), strict=True)
        return all(torch.equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))


def place(index: int, height: int, width: int) -> tuple[int, int]:
    """Top and left of crop `index`, the same for every way."""
    rng = np.random.default_rng(index)
    return int(rng.integers(height - CROP + 1)), int(rng.integers(width - CROP + 1))


def tensors(image: Any, labels: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """A crop as a network takes it."""
    part = np.ascontiguousarray(image.transpose(2, 0, 1))
    return torch.from_numpy(part), torch.from_numpy(labels.astype(np.int32))


# ours ------------------------------------------------------------------------------------------


class Chosen:
    """Some records of a source, in the order of their ids."""

    def __init__(self, source: RecordSource, sample_ids: Iterable[str]) -> None:
        numbers = {name: number for number, name in enumerate(source.sample_ids)}
        self.sample_ids = list(sample_ids)
        self._source, self._numbers = source, [numbers[name] for name in self.sample_ids]
        self.name, self.version = source.name, source.version
        self.fingerprint, self.label_spaces = source.fingerprint, source.label_spaces

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Record:
        return self._source[self._numbers[index]]

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))


class Ours:
    """Crops out of the sample store of training, by its threads."""

    def __init__(self, source: RecordSource) -> None:
        wanted = [output for output in OUTPUTS if output.name == "nuclei.instance"]
        self._store = SampleStore([source], wanted, {})
        self._entries = {entry.record: entry for entry in self._store.entries}

    def batches(self) -> Batches:
        with closing(prefetched(self._make, 0)) as made:
            yield from islice(made, N_CROPS // BATCH)

    def _make(self, step: int) -> Any:
        crops = [self._crop(index) for index in range(step * BATCH, (step + 1) * BATCH)]
        return [torch.stack(parts) for parts in zip(*crops, strict=True)]

    def _crop(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        sample = self._store.get(self._entries[index % N_IMAGES])
        top, left = place(index, *sample.image.shape[:2])
        view = View(left + CROP / 2, top + CROP / 2)
        border = cv2.BORDER_REFLECT_101
        image = cut(sample.image, view, CROP, smooth=True, border=border)
        labels = cut(sample.labels["nuclei"], view, CROP, smooth=False, border=border)
        return tensors(image, labels)

    def close(self) -> None:
        pass


class OursInTraining:
    """As many windows as training draws them, in random views; with the targets of all tasks."""

    def __init__(self, source: RecordSource, *, targets: bool = True) -> None:
        recipe = load_recipe("default")
        assert (recipe.batches.size, recipe.batches.crop) == (BATCH, CROP)
        self._store = SampleStore([source], OUTPUTS, codes_of(OUTPUTS, [source]))
        self._plan = TrainingPlan(self._store.entries, recipe, seed=0)
        self._maker = BatchMaker(self._store, recipe)
        self._make: Callable[[int], Any] = self._with_targets if targets else self._views
        self._step = 0

    def batches(self) -> Batches:
        n = N_CROPS // BATCH
        with closing(prefetched(self._make, self._step)) as made:
            yield from islice(made, n)
        self._step += n

    def _with_targets(self, step: int) -> Any:
        batch = self._maker.make(self._plan.windows(step), [])
        return batch.images, batch.targets

    def _views(self, step: int) -> Any:
        crops = [self._view(window) for window in self._plan.windows(step)]
        return [torch.stack(parts) for parts in zip(*crops, strict=True)]

    def _view(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        sample, view = self._store.get(window.entry), window.view
        border = cv2.BORDER_REFLECT_101
        image = cut(sample.image, view, CROP, smooth=True, border=border)
        labels = cut(sample.labels["nuclei"], view, CROP, smooth=False, border=border)
        return tensors(turned(image, view.turn), turned(labels, view.turn))

    def close(self) -> None:
        pass


# the usual ways --------------------------------------------------------------------------------


class Loaded:
    """A dataset through a DataLoader whose workers stay."""

    def __init__(self, dataset: "Crops") -> None:
        self._loader = torch.utils.data.DataLoader(
            dataset, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True
        )

    def batches(self) -> Batches:
        return iter(self._loader)

    def close(self) -> None:
        """Workers end with the iterator that the loader holds."""
        self._loader._iterator = None


class Crops(torch.utils.data.Dataset[Any]):
    """Crops of scenes that a subclass reads."""

    def __len__(self) -> int:
        return N_CROPS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, labels = self.read(index % N_IMAGES)
        top, left = place(index, *image.shape[:2])
        window = slice(top, top + CROP), slice(left, left + CROP)
        return tensors(image[window], labels[window])

    def read(self, scene: int) -> tuple[Any, Any]:
        """Image and labels, as arrays or as what is read when it is sliced."""
        raise NotImplementedError


class Rows(Crops):
    """Rows that `datasets` decodes whole."""

    def __init__(self, scenes: Any) -> None:
        self._scenes = scenes.select_columns(["image", "nuclei"])

    def read(self, scene: int) -> tuple[Any, Any]:
        row = self._scenes[scene]
        return np.asarray(row["image"]), np.asarray(row["nuclei"])


class Pngs(Crops):
    """A folder of PNG files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, scene: int) -> tuple[Any, Any]:
        paths = (self._folder / f"{scene}_{part}.png" for part in ("image", "nuclei"))
        image, labels = (np.asarray(Image.open(path)) for path in paths)
        return image, labels


class H5(Crops):
    """One h5 file of compressed chunks; a crop reads the chunks that it meets."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, None

    def read(self, scene: int) -> tuple[Any, Any]:
        import h5py

        if self._file is None:  # opened anew in every worker
            self._file = h5py.File(self._path, "r")
        return self._file[f"{scene}/image"], self._file[f"{scene}/nuclei"]


class Arrays(Crops):
    """All scenes decoded before the first crop; workers share their memory."""

    def __init__(self, scenes: Any) -> None:
        whole = Rows(scenes)
        self._arrays = [whole.read(scene) for scene in range(N_IMAGES)]

    def read(self, scene: int) -> tuple[Any, Any]:
        return self._arrays[scene]


def write_png(scenes: Any, folder: Path) -> None:
    """`0_image.png`, `0_nuclei.png`, ..."""
    for i, row in enumerate(scenes):
        row["image"].save(folder / f"{i}_image.png")
        row["nuclei"].save(folder / f"{i}_nuclei.png")


def write_h5(scenes: Any, path: Path) -> None:
    """`0/image`, `0/nuclei`, ..., in the chunks that h5py chooses."""
    import h5py

    with h5py.File(path, "w") as file:
        for i, row in enumerate(scenes):
            for part in ("image", "nuclei"):
                array = np.asarray(row[part])
                file.create_dataset(f"{i}/{part}", data=array, chunks=True, compression="gzip")
