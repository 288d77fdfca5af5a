"""Scores against plain C, plain NumPy, scipy and the libraries that can be installed."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import directed_hausdorff

from benchmarks.coco_peers import direct_ap
from benchmarks.inputs import Labels, boxes, classes_of, discs, tiles
from benchmarks.peers import CONVENTIONS, absent, mpq_peer, panoptic_peers
from benchmarks.plain_c import Int64, Pairs, filled, plain_pass
from benchmarks.timing import Row, median_ms, once_ms
from cerberus_bench.eval import (
    aji,
    aji_plus,
    coco_ap,
    dice,
    f1,
    multiclass_panoptic_quality,
    object_dice,
    object_f1,
    object_hausdorff,
    overlap,
    panoptic_quality,
)
from cerberus_bench.eval.coco import ENGINES, installed_engines
from cerberus_bench.eval.glas import partners
from cerberus_bench.eval.pq import Convention

SLOW_PEERS_SIZE, SLOW_PEERS_NUCLEI = 1250, 1562
"""The 16th part of the largest input, on which peers run that need minutes for all of it; the
time is multiplied by 16."""
WHOLE_PEERS = ("stardist", "panoptica")
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
    yield from _glands()
    yield from _coco()


def _against_plain(what: str, truth: Labels, prediction: Labels) -> Iterator[Row]:
    """Each gives all pairs of ids and their pixels, and is compared in all of them."""
    plain = plain_pass()
    if plain is None:
        yield Row.absent(f"overlap table, {what}", "plain C", "no C compiler")
    else:
        times = median_ms(lambda: overlap(truth, prediction), lambda: plain(truth, prediction))
        same = same_pairs(truth, prediction, *filled(*plain(truth, prediction)))
        yield Row(f"overlap table, {what}", times[0], "plain C, one thread", times[1], str(same))
    times = median_ms(lambda: overlap(truth, prediction), lambda: unique_pairs(truth, prediction))
    same = same_pairs(truth, prediction, *unique_pairs(truth, prediction))
    yield Row(f"overlap table, {what}", times[0], "numpy.unique", times[1], str(same))


def unique_pairs(truth: Labels, prediction: Labels) -> Pairs:
    """All pairs of ids, packed and in order, and their pixels, by sorting all pixels."""
    keys, counts = np.unique(truth.astype(np.int64) << 32 | prediction, return_counts=True)
    return keys, counts


def same_pairs(truth: Labels, prediction: Labels, keys: Int64, counts: Int64) -> bool:
    """Whether our table holds these pairs and pixels, and areas that are their sums."""
    table = overlap(truth, prediction)
    t, p = keys >> 32, keys & 0xFFFFFFFF
    both = (t > 0) & (p > 0)
    ours = (
        table.truth_ids[table.pair_truth] << 32 | table.prediction_ids[table.pair_prediction],
        table.intersection,
        *(table.truth_ids, table.truth_areas),
        *(table.prediction_ids, table.prediction_areas),
    )
    theirs = keys[both], counts[both], *_areas(t, counts), *_areas(p, counts)
    return all(map(np.array_equal, ours, theirs))


def _areas(ids: Int64, counts: Int64) -> Pairs:
    """Ids other than background, in order, and the sum of their counts."""
    found, row = np.unique(ids, return_inverse=True)
    areas = np.zeros(len(found), np.int64)
    np.add.at(areas, row, counts)
    return found[found > 0], areas[found > 0]


def _panoptic(what: str, truth: Labels, prediction: Labels, scale: int = 1) -> Iterator[Row]:
    """Ours on the whole input; peers too, or on a part whose time is multiplied by `scale`."""
    if scale > 1:
        part = discs(SLOW_PEERS_SIZE, SLOW_PEERS_NUCLEI, 9.0, seed=3)
    else:
        part = truth, prediction
    (ms,) = median_ms(lambda: panoptic_quality(truth, prediction))
    for name, peer in panoptic_peers().items():
        if peer is None:
            yield Row.absent(what, name, absent(name))
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
    classes = [classes_of(side, 6) for side in (truth, prediction)]

    def ours(convention: Convention = "exact") -> float:
        maps = truth[None], classes[0][None], prediction[None], classes[1][None]
        return multiclass_panoptic_quality(*maps, convention=convention).mpq

    what, peer = "binary PQ and six-class mPQ+, 256 x 256", mpq_peer()
    if peer is None:
        yield Row.absent(what, "torchmetrics", absent("torchmetrics"))
        return
    (ms,) = median_ms(ours)
    (peer_ms,) = median_ms(lambda: peer(truth, classes[0], prediction, classes[1]), repeats=3)
    difference = abs(ours() - peer(truth, classes[0], prediction, classes[1]))
    yield Row(what, ms, "torchmetrics, mPQ+ alone", peer_ms, f"{difference:.0e}")


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


def _glands() -> Iterator[Row]:
    """Of the size of a GlaS image."""
    truth, prediction = (side[:, :522].copy() for side in discs(775, 18, 55.0, seed=1))
    what = f"775 x 522, {len(np.unique(truth)) - 1} glands"
    ours, theirs = object_hausdorff(truth, prediction), loop_hausdorff(truth, prediction)
    times = median_ms(
        lambda: object_hausdorff(truth, prediction), lambda: loop_hausdorff(truth, prediction)
    )
    difference = f"{abs(ours - theirs):.0e}"
    yield Row(
        f"object Hausdorff, {what}", times[0], "scipy directed_hausdorff", times[1], difference
    )

    def contest() -> None:
        table = overlap(truth, prediction)
        object_f1(table)
        object_dice(table)
        object_hausdorff(truth, prediction)

    (ms,) = median_ms(contest)
    yield Row(f"object F1, Dice and Hausdorff, {what}", ms, "none", None, "")


def _coco() -> Iterator[Row]:
    """Ours by the fastest engine against each library called directly, in turns."""
    truths, predictions, scores = boxes(40, 283, seed=5)
    what, value = "COCO AP, 11,320 boxes", coco_ap(truths, predictions, scores).ap
    for engine in ENGINES:
        if engine not in installed_engines():
            yield Row.absent(what, engine, absent(engine))
            continue
        times = median_ms(
            lambda: coco_ap(truths, predictions, scores),
            lambda engine=engine: direct_ap(engine, truths, predictions, scores),
            repeats=3 if engine == "pycocotools" else 15,
        )
        same = direct_ap(engine, truths, predictions, scores) == value
        yield Row(what, times[0], f"{engine}, called directly", times[1], str(same))
