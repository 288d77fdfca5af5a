"""The compiled kernel gives what NumPy gives, on any maps and to the last bit."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cerberus_bench.eval import kernel, object_hausdorff, overlap
from cerberus_bench.eval.glas import counted_predictions
from cerberus_bench.eval.hausdorff import distances_compiled, distances_numpy
from cerberus_bench.eval.tabulate import (
    CLASS_LIMIT,
    tabulate_classes_compiled,
    tabulate_classes_numpy,
    tabulate_compiled,
    tabulate_numpy,
)
from cerberus_bench.schema.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
TURNED_OFF = os.environ.get(kernel.OFF) == "1"
QUICK = settings(max_examples=150, deadline=None)
DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]

needs_kernel = pytest.mark.skipif(
    not kernel.BUILT, reason=f"the kernel is not built, which {kernel.OFF}=1 allows"
)

# The same pixels, laid out in another way.
ORDERS = {
    "rows": lambda a: a,
    "columns": np.asfortranarray,
    "upside down": lambda a: a[::-1].copy()[::-1],
    "mirrored": lambda a: a[:, ::-1].copy()[:, ::-1],
    "every second": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "part of a row": lambda a: np.hstack([a, a])[:, : a.shape[1]],
    "last of channels": lambda a: np.stack([a * 0, a], -1)[..., 1],
    "not aligned": lambda a: _misaligned(a),
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
}


def _misaligned(labels):
    bytes_ = np.empty(labels.nbytes + 1, np.uint8)
    out = np.ndarray(labels.shape, labels.dtype, bytes_, offset=1)
    out[:] = labels
    return out


def blobs(shape=(60, 70), n=12, seed=0):
    """Rectangles painted over one another on both sides."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((2, *shape), np.int32)
    for labels in maps:
        for i in rng.permutation(np.arange(1, n + 1)):
            y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
            labels[y : y + rng.integers(2, 20), x : x + rng.integers(2, 20)] = i
    return maps


def assert_same(compiled, numpy):
    for name, one, other in zip(numpy._fields, compiled, numpy, strict=True):
        assert one.dtype == other.dtype == np.int64, name
        np.testing.assert_array_equal(one, other, err_msg=name)


def assert_same_tables(truth, prediction):
    assert_same(tabulate_compiled(truth, prediction), tabulate_numpy(truth, prediction))


def assert_same_classes(*maps, n_classes=6):
    one, other = (f(*maps, n_classes) for f in (tabulate_classes_compiled, tabulate_classes_numpy))
    assert_same(one.ids, other.ids)
    assert_same(one.by_class, other.by_class)
    np.testing.assert_array_equal(one.truth_class, other.truth_class)
    np.testing.assert_array_equal(one.prediction_class, other.prediction_class)


def assert_same_distances(truth, prediction):
    table = overlap(truth, prediction)
    counted = counted_predictions(table)
    if table.n_truth and counted.any():
        one, other = (
            f(truth, prediction, table, counted) for f in (distances_compiled, distances_numpy)
        )
        for compiled, numpy in zip(one, other, strict=True):
            np.testing.assert_array_equal(compiled, numpy)


def label_maps(n, sides=(9, 40), most=5):
    """Maps of one shape and any dtypes, with runs of equal pixels."""
    shape = st.tuples(*[st.integers(0, side) for side in sides])
    element = st.integers(0, most)
    return shape.flatmap(
        lambda s: st.tuples(
            *[arrays(st.sampled_from(DTYPES), s, elements=element, fill=element)] * n
        )
    )


def test_kernel_is_built():
    assert kernel.BUILT or TURNED_OFF, (
        "the kernel is not built: install with a C compiler (pip install -e .), or set"
        f" {kernel.OFF}=1 to test without it"
    )
    assert (kernel.BUILT and not TURNED_OFF) == kernel.USED


@needs_kernel
@pytest.mark.parametrize("prediction_dtype", DTYPES)
@pytest.mark.parametrize("truth_dtype", DTYPES)
def test_any_two_dtypes(truth_dtype, prediction_dtype):
    truth, prediction = blobs()
    assert_same_tables(truth.astype(truth_dtype), prediction.astype(prediction_dtype))


@needs_kernel
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("prediction_order", ORDERS)
@pytest.mark.parametrize("truth_order", ORDERS)
def test_any_two_memory_orders(truth_order, prediction_order, dtype):
    truth, prediction = blobs().astype(dtype)
    maps = ORDERS[truth_order](truth), ORDERS[prediction_order](prediction)
    assert_same(tabulate_compiled(*maps), tabulate_numpy(truth, prediction))
    assert_same_distances(*maps)


@needs_kernel
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (1, 600), (600, 1), (2, 513)])
def test_any_shape(shape):
    rng = np.random.default_rng(0)
    for maps in (np.zeros((2, *shape), int), rng.integers(0, 4, (2, *shape))):
        assert_same_tables(*maps)
        assert_same_classes(maps[0], maps[1], maps[1], maps[0])
        assert_same_distances(*maps)


@needs_kernel
def test_empty_sides_and_no_background():
    truth, prediction = blobs()
    empty = np.zeros_like(truth)
    for maps in ((truth, empty), (empty, prediction), (empty, empty), (truth + 1, prediction + 7)):
        assert_same_tables(*maps)


@needs_kernel
def test_widest_ids():
    truth, prediction = blobs().astype(np.int64)
    widest = np.where(truth > 0, 2**32 - truth, 0)
    assert_same_tables(widest, prediction)
    assert_same_tables(widest.astype(np.uint32), widest.astype(np.uint64))
    assert tabulate_compiled(widest, prediction).truth_ids[-1] == 2**32 - 1


@needs_kernel
@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [
        (np.int8, -1),
        (np.int16, -300),
        (np.int32, -1),
        (np.int64, -(2**40)),
        (np.int64, 2**32),
        (np.uint64, 2**63 + 5),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_both_refuse_the_same_ids_in_the_same_words(dtype, wrong, side):
    maps = [labels.astype(dtype) for labels in blobs()]
    maps[side][30, 40] = wrong
    said = []
    for tabulate in (tabulate_compiled, tabulate_numpy):
        with pytest.raises(DataError, match=str(wrong)) as error:
            tabulate(*maps)
        said.append(str(error.value))
    assert said[0] == said[1]


@needs_kernel
@pytest.mark.parametrize("wrong", [-1, 7, 2**16, 2**40])
def test_both_refuse_the_same_classes_in_the_same_words(wrong):
    truth, prediction = blobs()
    classes = np.zeros(truth.shape, np.int64)
    classes[0, 0] = wrong
    said = []
    for tabulate in (tabulate_classes_compiled, tabulate_classes_numpy):
        with pytest.raises(DataError, match="prediction_classes has values") as error:
            tabulate(truth, truth % 7, prediction, classes, 6)
        said.append(str(error.value))
    assert said[0] == said[1]


@needs_kernel
def test_more_ids_than_the_table_holds():
    """The table of the kernel empties into a list when full, and grows where that is in vain."""
    rng = np.random.default_rng(0)
    distinct = rng.permutation(120 * 120).reshape(120, 120)
    assert_same_tables(distinct, distinct.T)
    recurring = np.tile(rng.permutation(20_000), (6, 1))
    assert_same_tables(recurring, np.roll(recurring, 3, axis=1))
    noise = rng.integers(0, 2**32, (200, 300))
    assert_same_tables(noise, noise // 2**16)


@needs_kernel
@pytest.mark.parametrize("shape", [(61, 70), (1, 1000), (3000, 1), (1, 1)])
@pytest.mark.parametrize("order", ["rows", "columns", "every second"])
def test_number_of_threads_changes_nothing(shape, order):
    rng = np.random.default_rng(0)
    truth, prediction = (ORDERS[order](labels) for labels in rng.integers(0, 9, (2, *shape)))
    one, two = (kernel.compiled.overlap(truth, prediction, n) for n in (1, 2))
    assert one == two


@needs_kernel
def test_large_maps_in_two_threads():
    truth, prediction = np.tile(blobs((550, 1000), 60), (1, 2, 1))
    assert truth.size > 2**20
    assert_same_tables(truth, prediction)


@needs_kernel
def test_calls_from_many_threads():
    maps = [blobs(seed=seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda pair: tabulate_compiled(*pair), maps))
    for pair, table in zip(maps, tables, strict=True):
        assert_same(table, tabulate_numpy(*pair))


@needs_kernel
@QUICK
@given(label_maps(2))
def test_random_maps(maps):
    assert_same_tables(*maps)
    assert_same_tables(*(labels.T for labels in maps))


@needs_kernel
@QUICK
@given(label_maps(4))
def test_random_maps_with_classes(maps):
    assert_same_classes(*maps)


@needs_kernel
@QUICK
@given(label_maps(2, sides=(12, 12), most=3))
def test_random_distances(maps):
    assert_same_distances(*maps)


@needs_kernel
@pytest.mark.parametrize("seed", range(5))
def test_distances_where_some_objects_meet_none(seed):
    truth, prediction = blobs((90, 110), 20, seed)
    for kept in (2, 3, 20):
        assert_same_distances(truth, np.where(prediction < kept, prediction, 0))
        assert_same_distances(np.where(truth < kept, truth, 0), prediction)


@needs_kernel
def test_distances_without_ignored_pixels():
    truth, prediction = blobs()
    ignore = np.zeros(truth.shape, np.bool_)
    ignore[10:40, 20:50] = True
    table = overlap(truth, prediction, ignore=ignore)
    maps = [np.where(ignore, 0, labels) for labels in (truth, prediction)]
    counted = counted_predictions(table)
    one, other = (f(*maps, table, counted) for f in (distances_compiled, distances_numpy))
    for compiled, numpy in zip(one, other, strict=True):
        np.testing.assert_array_equal(compiled, numpy)


@needs_kernel
def test_distance_of_masks():
    mask = np.zeros((5, 5), np.bool_)
    mask[1, 1] = True
    assert object_hausdorff(mask, np.roll(mask, 2, axis=1)) == 2


@needs_kernel
def test_wrong_calls_are_refused():
    compiled = kernel.compiled
    labels, ids, partners = np.ones((2, 3), np.int32), np.array([1]), np.array([0])
    with pytest.raises(TypeError, match="2-D"):
        compiled.overlap(labels.astype(float), labels, 1)
    with pytest.raises(TypeError, match="2-D"):
        compiled.overlap(labels[0], labels[0], 1)
    with pytest.raises(TypeError, match="native"):
        compiled.overlap(labels, labels.astype(">i4"), 1)
    with pytest.raises(TypeError):
        compiled.overlap(labels, None, 1)
    with pytest.raises(TypeError):
        compiled.overlap(labels, labels)
    with pytest.raises(ValueError, match="shape"):
        compiled.overlap(labels, labels.T, 1)
    with pytest.raises(OverflowError):
        compiled.class_overlap(labels, labels, labels, labels, CLASS_LIMIT)
    with pytest.raises(IndexError):
        compiled.hausdorff(labels, labels, ids, partners + 1, ids, partners)
    with pytest.raises(IndexError):
        compiled.hausdorff(labels, labels, ids, partners, ids, partners - 3)
    with pytest.raises(ValueError, match="length"):
        compiled.hausdorff(labels, labels, ids, partners[:0], ids, partners)
    with pytest.raises(TypeError, match="int64"):
        compiled.hausdorff(labels, labels, ids.astype(np.int32), partners, ids, partners)
    with pytest.raises(ValueError, match="pixels"):
        compiled.hausdorff(labels, labels, ids + 1, partners, ids, partners)


@pytest.mark.skipif(TURNED_OFF, reason=f"{kernel.OFF}=1 is set for all tests")
def test_golden_and_worked_values_without_the_kernel():
    files = ["test_golden_scores.py", "test_scores_overlap.py", "test_scores_sets.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=Path(__file__).parent,
        env={**os.environ, kernel.OFF: "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_variable_turns_the_kernel_off():
    code = "from cerberus_bench.eval import kernel, tabulate as t; print(kernel.USED, t.tabulate)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, kernel.OFF: "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("False <function tabulate_numpy")


def test_a_package_built_without_a_compiler_works(tmp_path):
    """A copy without the compiled file, as an install without a compiler leaves it."""
    shutil.copytree(
        ROOT / "cerberus_bench" / "eval",
        tmp_path / "cerberus_bench" / "eval",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"),
    )
    shutil.copytree(
        ROOT / "cerberus_bench" / "schema",
        tmp_path / "cerberus_bench" / "schema",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "cerberus_bench" / "__init__.py", tmp_path / "cerberus_bench")
    code = (
        "import numpy as np\n"
        "from cerberus_bench.eval import kernel, panoptic_quality\n"
        "labels = np.eye(4, dtype=int)\n"
        "print(kernel.BUILT, kernel.USED, panoptic_quality(labels, labels).pq)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False", "1.0"]
