"""Records decoded by threads: the same samples, errors that name the record, time spent waiting."""

import csv
import threading
import time
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fakes import glas
from test_training import SCENES, Blobs, config, small_recipe

from cerberus_bench.loaders.table import ALL, open_table
from cerberus_bench.model_zoo import samples
from cerberus_bench.model_zoo.batches import Batch, BatchMaker, TrainingPlan, prefetched
from cerberus_bench.model_zoo.registry import OUTPUTS
from cerberus_bench.model_zoo.run_facts import TrainResult
from cerberus_bench.model_zoo.samples import Sample, SampleStore, codes_of
from cerberus_bench.model_zoo.training import train
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Record, RecordSource
from cerberus_bench.workflows.harmonize import harmonize

TASKS = ("nuclei", "gland")
PATIENCE = 30.0
"""Seconds after which threads that should have met are given up."""


class Meeting(Blobs):
    """Blobs of which the first `n_threads` are decoded only once as many threads ask for one."""

    def __init__(self, n: int, n_threads: int) -> None:
        super().__init__("meeting", n, TASKS)
        self._barrier = threading.Barrier(n_threads)
        self._early = n_threads

    def __getitem__(self, index: int) -> Record:
        if index < self._early:
            self._barrier.wait(PATIENCE)
        return super().__getitem__(index)


class Breaking(Blobs):
    """Blobs of which one breaks from its second reading on."""

    def __init__(self, broken: int) -> None:
        super().__init__("breaking", 6, TASKS)
        self._broken, self._n_read = broken, 0

    def __getitem__(self, index: int) -> Record:
        if index == self._broken:
            self._n_read += 1
            if self._n_read > 1:
                raise OSError("the disk is gone")
        return super().__getitem__(index)


class Slow(Blobs):
    """Blobs that take their time."""

    def __getitem__(self, index: int) -> Record:
        time.sleep(0.1)
        return super().__getitem__(index)


def open_store(source: RecordSource, max_bytes: int = 1 << 30) -> SampleStore:
    return SampleStore([source], OUTPUTS, codes_of(OUTPUTS, [source]), max_bytes)


def assert_same_samples(one: Sample, other: Sample) -> None:
    assert np.array_equal(one.image, other.image)
    for mine, its in ((one.labels, other.labels), (one.codes, other.codes)):
        assert mine.keys() == its.keys()
        assert all(np.array_equal(mine[task], its[task]) for task in mine)
    assert (one.open_tasks, one.patch_code) == (other.open_tasks, other.patch_code)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_any_number_of_threads_gives_the_same_samples(
    n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "READERS", 1)
    one = open_store(Meeting(13, n_threads=1))
    monkeypatch.setattr(samples, "READERS", n_threads)
    many = open_store(Meeting(13, n_threads))
    assert many.entries == one.entries
    assert [entry.record for entry in many.entries] == list(range(13))
    assert (many.groups, many.origins) == (one.groups, one.origins)
    for entry in one.entries:
        assert_same_samples(one.get(entry), many.get(entry))


def test_batches_made_ahead_from_records_decoded_anew_are_those_made_in_turn() -> None:
    recipe = small_recipe()
    in_memory, anew = open_store(SCENES), open_store(SCENES, max_bytes=1)
    plan = TrainingPlan(in_memory.entries, recipe, seed=1)

    def make(store: SampleStore, step: int) -> Batch:
        return BatchMaker(store, recipe).make(plan.windows(step), [])

    ahead = prefetched(lambda step: make(anew, step), 0)
    for step, batch in enumerate(islice(ahead, 12)):
        expected = make(in_memory, step)
        assert torch.equal(batch.images, expected.images)
        assert all(torch.equal(batch.targets[o], t) for o, t in expected.targets.items())
    ahead.close()


def test_a_damaged_record_is_named_when_all_are_read(tmp_path: Path) -> None:
    glas.write(tmp_path / "source")
    harmonize("glas", tmp_path / "source", tmp_path / "glas", allow_partial=True)
    path = tmp_path / "glas/data/train.parquet"
    rows = pq.read_table(path)
    kept = rows.to_pylist()
    name = kept[0]["sample_id"]
    kept[0]["image"]["bytes"] = kept[0]["image"]["bytes"][:40]
    pq.write_table(pa.Table.from_pylist(kept, schema=rows.schema), path)
    with pytest.raises(DataError, match=name) as told:
        open_store(open_table(tmp_path / "glas", split=ALL))
    assert told.value.__notes__ == [f"while {name} was decoded"]


def test_any_error_in_a_thread_that_prepares_batches_names_the_record() -> None:
    recipe, store = small_recipe(), open_store(Breaking(broken=4), max_bytes=1)
    plan, maker = TrainingPlan(store.entries, recipe, seed=0), BatchMaker(store, recipe)
    ahead = prefetched(lambda step: maker.make(plan.windows(step), []), 0)
    with pytest.raises(OSError, match="the disk is gone") as told:
        for _ in islice(ahead, 100):
            pass
    assert told.value.__notes__ == ["while breaking/4 was decoded"]
    assert not [t.name for t in threading.enumerate() if t.name.startswith("batches")]


def test_time_spent_waiting_is_logged_and_grows_with_slow_records(tmp_path: Path) -> None:
    fast = wait_share(tmp_path / "fast", SCENES, cache_bytes=1 << 30)
    slow = wait_share(tmp_path / "slow", Slow("scenes", 6, TASKS), cache_bytes=1)
    assert 0 <= fast < slow <= 1


def wait_share(out: Path, source: Blobs, cache_bytes: int) -> float:
    """That of a run, after it was compared with its log."""
    settings = config(tasks=TASKS, cache_bytes=cache_bytes)
    done: TrainResult = train(settings, [source], [SCENES], out)
    rows = list(csv.DictReader((out / "log.csv").open()))
    waited = [float(row["waited"]) for row in rows]
    ends = [float(row["seconds"]) for row in rows]
    assert len(rows) == settings.recipe.schedule.steps
    assert all(seconds >= 0 for seconds in waited)
    for seconds, (begin, end) in zip(waited[1:], pairwise(ends), strict=True):
        assert seconds <= end - begin
    # the share is of the time of steps, which the time of the run also holds
    assert done.wait_share >= sum(waited) / done.seconds
    return done.wait_share
