"""Which predicted object stands for which truth object.

Three rules, all solved exactly on the sparse graph of overlapping pairs:

- strict IoU > t with t >= .5: at most one pair an object can pass, nothing to solve
  (Kirillov et al., Panoptic Segmentation, 2019, section 4.1);
- strict IoU > t with t < .5: the one-to-one assignment of largest total IoU, then the threshold
  (as in hover_net);
- IoU >= t ("ge"): most pairs with IoU >= t, among these the largest total IoU (as in stardist).
"""

from dataclasses import dataclass

import numpy as np

from cerberus_bench.eval.overlap import Float64, Int64, Overlap


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Matched pairs, in order of truth index."""

    truth: Int64
    """(n,) index into the table's `truth_ids`."""
    prediction: Int64
    """(n,) index into the table's `prediction_ids`."""
    iou: Float64
    """(n,) IoU of each pair."""


def match(table: Overlap, iou: float = 0.5, *, inclusive: bool = False) -> Matches:
    """Match objects one to one at an IoU threshold.

    Args:
        table: the table of both maps.
        iou: threshold in [0, 1].
        inclusive: IoU >= threshold instead of IoU > threshold.
    """
    values = table.iou
    if inclusive:
        rows = np.flatnonzero(values >= iou)
        # A constant gain a pair that exceeds any sum of IoUs makes the number of pairs come first.
        gain = values[rows] + min(table.n_truth, table.n_prediction)
        rows = rows[assign(table.pair_truth[rows], table.pair_prediction[rows], gain)]
    elif iou >= 0.5:
        rows = np.flatnonzero(values > iou)
    else:
        rows = assign(table.pair_truth, table.pair_prediction, values)
        rows = rows[values[rows] > iou]
    return Matches(table.pair_truth[rows], table.pair_prediction[rows], values[rows])


def assign(left: Int64, right: Int64, gain: Float64) -> Int64:
    """The one-to-one choice of edges of a bipartite graph with the largest total gain.

    Edges that must be in it are taken first; of the rest each connected component is solved on its
    own, so the cost follows the largest cluster of objects in doubt and not their number.

    Args:
        left: (n,) non-negative index of each edge's left node.
        right: (n,) index of its right node.
        gain: (n,) gain of choosing it, > 0.

    Returns:
        Ascending row numbers of the chosen edges.
    """
    sure, rows = _dominant(left, right, gain)
    chosen = [*sure]
    for edges in _components(left[rows], right[rows]):
        part = rows[edges]
        chosen.append(part[_assign_dense(left[part], right[part], gain[part])])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def _dominant(left: Int64, right: Int64, gain: Float64) -> tuple[list[Int64], Int64]:
    """Edges of every best choice that can be told without solving anything, and the edges left.

    Choosing an edge costs at most the best other edge of each of its nodes. One that gains more
    than both together is sure; then those edges are gone, and others may become sure. Between
    objects that overlap well, next to nothing is left.
    """
    sure: list[Int64] = []
    rows = np.arange(len(left))
    while rows.size:
        at_left, at_right, value = left[rows], right[rows], gain[rows]
        # Sums of all edges of a node, the edge itself included, decide most cases quickly.
        sums = np.bincount(at_left, value)[at_left] + np.bincount(at_right, value)[at_right]
        wins = 3 * value > sums
        if not wins.any():
            wins = value > _best_other(at_left, value) + _best_other(at_right, value)
        if not wins.any():
            break
        sure.append(rows[wins])
        taken_left, taken_right = np.zeros((2, max(at_left.max(), at_right.max()) + 1), np.bool_)
        taken_left[at_left[wins]] = True
        taken_right[at_right[wins]] = True
        rows = rows[~(taken_left[at_left] | taken_right[at_right])]
    return sure, rows


def _best_other(node: Int64, gain: Float64) -> Float64:
    """For each edge the largest gain among the other edges of its node, 0 without any."""
    best, second = np.zeros((2, node.max() + 1))
    np.maximum.at(best, node, gain)
    top = gain == best[node]
    np.maximum.at(second, node[~top], gain[~top])
    alone = top & (np.bincount(node[top], minlength=len(best))[node] == 1)
    others: Float64 = np.where(alone, second[node], best[node])
    return others


def _components(left: Int64, right: Int64) -> list[Int64]:
    """The edges of each connected component of a bipartite graph."""
    if len(left) == 0:
        return []
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    offset = int(left.max()) + 1
    size = offset + int(right.max()) + 1
    graph = coo_array((np.ones(len(left), np.int8), (left, right + offset)), shape=(size, size))
    _, node_component = connected_components(graph, directed=False)
    component = node_component[left]
    order = np.argsort(component, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(component[order])) + 1)


def _assign_dense(left: Int64, right: Int64, gain: Float64) -> Int64:
    from scipy.optimize import linear_sum_assignment

    left_nodes, rows = np.unique(left, return_inverse=True)
    right_nodes, columns = np.unique(right, return_inverse=True)
    table = np.zeros((len(left_nodes), len(right_nodes)))
    table[rows, columns] = gain
    edge = np.full(table.shape, -1)
    edge[rows, columns] = np.arange(len(rows))
    picked = edge[linear_sum_assignment(table, maximize=True)]
    return picked[picked >= 0]
