"""Scores against plain C, plain NumPy, scipy and the libraries that can be installed."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import directed_hausdorff

from benchmarks.inputs import Labels, boxes, classes_of, discs, tiles
from benchmarks.peers import ABSENT, CONVENTIONS, panoptic_peers
from benchmarks.plain_c import plain_pass
from benchmarks.timing import Row, median_ms, once_ms
from cerberus_bench.eval import (
    aji,
    aji_plus,
    coco_ap,
    dice,
    f1,
    multiclass_panoptic_quality,
    object_hausdorff,
    overlap,
    panoptic_quality,
)
from cerberus_bench.eval.coco import ENGINES, installed_engines
from cerberus_bench.eval.glas import partners

SLOW_PEERS_SIZE, SLOW_PEERS_NUCLEI = 1250, 1562
"""The 16th part of the largest input, on which peers run that need minutes for all of it; the
time is multiplied by 16."""
WHOLE_PEERS = ("stardist",)
"""Peers whose cost grows faster than the area, so that a part would not tell."""
CONIC_TILES = 4981


def rows() -> Iterator[Row]:
    truth, prediction = discs(1000, 800, 9.0, seed=0)
    yield from _against_plain("1000 x 1000, 800 nuclei", truth, prediction)
    yield from _panoptic("PQ, 1000 x 1000, 800 nuclei", truth, prediction)
    yield _all_scores(truth, prediction)
    yield from _small_tile()
    yield _conic()
    yield from _large()
    yield _hausdorff(*discs(600, 12, 55.0, seed=1))
    yield from _coco()


def _against_plain(what: str, truth: Labels, prediction: Labels) -> Iterator[Row]:
    plain = plain_pass()
    if plain is None:
        yield Row.absent(f"overlap table, {what}", "plain C", "no C compiler")
    else:
        times = median_ms(lambda: overlap(truth, prediction), lambda: plain(truth, prediction))
        table = overlap(truth, prediction)
        # plain C also lists the background of each side
        sides = len(unique_pairs(truth, prediction))
        same = plain(truth, prediction) == sides and len(table.pair_truth) <= sides
        yield Row(f"overlap table, {what}", times[0], "plain C, one thread", times[1], str(same))
    times = median_ms(lambda: overlap(truth, prediction), lambda: unique_pairs(truth, prediction))
    pairs = unique_pairs(truth, prediction)
    n = int(((pairs >> 32 > 0) & (pairs & 0xFFFFFFFF > 0)).sum())
    same = len(overlap(truth, prediction).pair_truth) == n
    yield Row(f"overlap table, {what}", times[0], "numpy.unique", times[1], str(same))


def unique_pairs(truth: Labels, prediction: Labels) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """All pairs of ids, background included, by sorting all pixels."""
    return np.unique(truth.astype(np.int64) << 32 | prediction)


def _panoptic(what: str, truth: Labels, prediction: Labels, scale: int = 1) -> Iterator[Row]:
    """Ours on the whole input; peers too, or on a part whose time is multiplied by `scale`."""
    if scale > 1:
        part = discs(SLOW_PEERS_SIZE, SLOW_PEERS_NUCLEI, 9.0, seed=3)
    else:
        part = truth, prediction
    (ms,) = median_ms(lambda: panoptic_quality(truth, prediction))
    for name, peer in panoptic_peers().items():
        if peer is None:
            yield Row.absent(what, name, "not installed: pip install -e '.[bench]'")
            continue
        convention = CONVENTIONS.get(name, "exact")
        if scale > 1 and name in WHOLE_PEERS:
            peer_ms, found = once_ms(lambda peer=peer: peer(truth, prediction))
            value = panoptic_quality(truth, prediction, convention=convention).pq
            yield Row(what, ms, f"{name}, one run", peer_ms, f"{abs(value - found):.0e}")
            continue
        (peer_ms,) = median_ms(lambda peer=peer: peer(*part), repeats=3)
        shown = f"{name}, 1/{scale} of it, times {scale}" if scale > 1 else name
        value = panoptic_quality(*part, convention=convention).pq
        yield Row(what, ms, shown, peer_ms * scale, f"{abs(value - peer(*part)):.0e}")
    for name, reason in ABSENT.items():
        yield Row.absent(what, name, reason)
    if scale == 1:
        times = median_ms(lambda: loop_pq(truth, prediction), repeats=3)
        value = panoptic_quality(truth, prediction).pq
        difference = f"{abs(value - loop_pq(truth, prediction)):.0e}"
        yield Row(what, ms, "a loop a pair", times[0], difference)


def loop_pq(truth: Labels, prediction: Labels) -> float:
    """Panoptic quality as most repositories write it: masks of the whole image, one by one."""
    masks = {int(p): prediction == p for p in np.unique(prediction)[1:]}
    ids = np.unique(truth)[1:]
    ious = []
    for t in ids:
        mask = truth == t
        for p in np.unique(prediction[mask]):
            if p:
                iou = (mask & masks[int(p)]).sum() / (mask | masks[int(p)]).sum()
                ious += [iou] if iou > 0.5 else []
    return float(2 * np.sum(ious) / (len(ids) + len(masks)))


def _all_scores(truth: Labels, prediction: Labels) -> Row:
    def everything() -> None:
        table = overlap(truth, prediction)
        for score in (dice, aji, aji_plus, panoptic_quality):
            score(table)
        for level in range(50, 100, 5):
            f1(table, iou=level / 100)

    (ms,) = median_ms(everything)
    return Row("Dice, AJI, AJI+, PQ, F1 at ten levels, 1000 x 1000", ms, "none", None, "")


def _small_tile() -> Iterator[Row]:
    truth, prediction = (side[0] for side in tiles(1))
    yield from _panoptic("PQ, 256 x 256, 100 nuclei", truth, prediction)


def _conic() -> Row:
    """The size of CoNIC's set: binary PQ and mPQ+ of six classes, in parts, from memory."""
    truths, predictions = tiles(CONIC_TILES)
    classes = [classes_of(side, 6) for side in (truths, predictions)]

    def score() -> None:
        multiclass_panoptic_quality(truths, classes[0], predictions, classes[1])

    (ms,) = median_ms(score, repeats=3)
    return Row(f"binary PQ and mPQ+, {CONIC_TILES:,} tiles of 256 x 256", ms, "none", None, "")


def _large() -> Iterator[Row]:
    truth, prediction = discs(5000, 25_000, 9.0, seed=4)
    what = "5000 x 5000, 25,000 nuclei"
    yield from _against_plain(what, truth, prediction)
    yield from _panoptic(f"PQ, {what}", truth, prediction, scale=16)


def loop_hausdorff(truth: Labels, prediction: Labels) -> float:
    """GlaS object Hausdorff of maps whose objects all overlap, by scipy on each pair."""
    table = overlap(truth, prediction)
    total = 0.0
    for side, areas in (("truth", table.truth_areas), ("prediction", table.prediction_areas)):
        for i, pair in enumerate(partners(table, side)):
            t, p = table.pair_truth[pair], table.pair_prediction[pair]
            a = np.argwhere(truth == table.truth_ids[t])
            b = np.argwhere(prediction == table.prediction_ids[p])
            distance = max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])
            total += distance * areas[i] / areas.sum()
    return total / 2


def _hausdorff(truth: Labels, prediction: Labels) -> Row:
    ours, theirs = object_hausdorff(truth, prediction), loop_hausdorff(truth, prediction)
    times = median_ms(
        lambda: object_hausdorff(truth, prediction), lambda: loop_hausdorff(truth, prediction)
    )
    what = "object Hausdorff, 600 x 600, 12 glands"
    return Row(what, times[0], "scipy directed_hausdorff", times[1], f"{abs(ours - theirs):.0e}")


def _coco() -> Iterator[Row]:
    """Through our function, which writes the annotations for every engine alike."""
    truths, predictions, scores = boxes(40, 283, seed=5)
    what, value = "COCO AP, 11,320 boxes", coco_ap(truths, predictions, scores)
    (ms,) = median_ms(lambda: coco_ap(truths, predictions, scores), repeats=3)
    for engine in ENGINES:
        if engine not in installed_engines():
            yield Row.absent(what, engine, "not installed: pip install -e '.[bench]'")
            continue
        (engine_ms,) = median_ms(
            lambda engine=engine: coco_ap(truths, predictions, scores, engine=engine), repeats=3
        )
        same = coco_ap(truths, predictions, scores, engine=engine) == value
        yield Row(what, ms, engine, engine_ms, str(same))
