"""Exact regression trees on sorted columns, compiled: the inner loops of `_boosting`.

A split's gain needs the sum of targets on its left, for every code and position: 10,000 points, 10
codes and 11,300 trees make that 3.4e10 sums. Here each column is sorted once and cut into bins. The sums
of whole bins give the gain at their edges, and a bound on every gain inside; only bins whose bound
beats the best gain so far are looked into. The split found is the one that a look at every position
would find.

One file for all that is compiled: numba's cache on disk notices a change in a function's own file only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle.compiled import compiled

Floats = NDArray[np.float64]

RATE = 0.1
LANES = 8  # trees whose first histograms are summed side by side, in vector registers
NODES, LEAVES = 7, 15  # of a tree of depth 3: node n has the children 2n + 1 and 2n + 2
# scikit-learn takes values nearer than this, in float32, for equal.
_GAP = np.float32(1e-7)
# Gains nearer than this are ties, which the order of the codes decides; rounding must not.
_TIE = 1.0 + 1e-10


class Columns(NamedTuple):
    """Training points sorted by each code and cut into bins.

    Attributes:
        values: (D, N) float32, one row per code.
        order: (D, N) rows in the order of their values.
        start: (D, B + 1) where each bin starts in that order.
        used: (D,) how many bins each code has.
        whole: (D, B) 1 where a bin's values count as equal, so that no split lies inside.
        bins: (N, D) the bin of each value.
    """

    values: NDArray[np.float32]
    order: NDArray[np.int32]
    start: NDArray[np.int32]
    used: NDArray[np.int32]
    whole: NDArray[np.uint8]
    bins: NDArray[np.uint8]


class Scratch(NamedTuple):
    """What growing a tree writes to.

    Attributes:
        sums: (NODES, D, B) of the targets of a node's points, by bin.
        counts: (NODES, D, B) how many those are.
        positive: (NODES, D, B) the sums of the positive targets alone.
        before: (D, B + 1) sum before each bin, of the node being split.
        number: (D, B + 1) how many points lie before each bin.
        rows: (N,) the points, those of a node side by side.
        spare: (N,) room to part them.
        node: (N,) each point's node.
        bounds: (LEAVES, 2) where a node's points begin and end in `rows`.
        stats: (LEAVES, 3) sum, smallest and largest target of a node.
        codes: (D,) the codes in the order in which ties are decided.
        state: (1,) of the generator that shuffles them.
    """

    sums: Floats
    counts: Floats
    positive: Floats
    before: Floats
    number: Floats
    rows: NDArray[np.int32]
    spare: NDArray[np.int32]
    node: NDArray[np.uint8]
    bounds: NDArray[np.int64]
    stats: Floats
    codes: NDArray[np.int64]
    state: NDArray[np.uint64]


class Tree(NamedTuple):
    """One tree at a time: which code each node splits (-1: none), where, and the leaves' values."""

    code: NDArray[np.int64]
    threshold: Floats
    leaf: Floats


@compiled
def shuffle(codes: Any, state: Any) -> None:
    """Fisher and Yates, with splitmix64."""
    for j in range(len(codes) - 1, 0, -1):
        state[0] += np.uint64(0x9E3779B97F4A7C15)
        z = state[0]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        k = int((z ^ (z >> np.uint64(31))) % np.uint64(j + 1))
        codes[j], codes[k] = codes[k], codes[j]


@compiled
def edge_splits(columns: Any, work: Any, n: Any) -> Any:
    """The best split of node n at the edges of bins: (gain, code, bin). Fills the sums before bins."""
    size, total = float(work.bounds[n, 1] - work.bounds[n, 0]), work.stats[n, 0]
    best, code, bin_ = -1.0, -1, -1
    for f in work.codes:
        sums, counts = work.sums[n, f], work.counts[n, f]
        before, number = work.before[f], work.number[f]
        s, w = 0.0, 0.0
        for b in range(columns.used[f] - 1):
            s += sums[b]
            w += counts[b]
            before[b + 1] = s
            number[b + 1] = w
            if 0.0 < w < size:
                t = s * size - w * total
                gain = t * t / (w * (size - w))
                if gain > best * _TIE:
                    best, code, bin_ = gain, f, b
    return best, code, bin_


@compiled
def by_sign(s: Any, w: Any, inside: Any, positive: Any, negative: Any, size: Any, total: Any) -> Any:
    """A bound on abs(left sum * size - points * total) inside a bin, from the signs of its targets.

    Before the bin stand w points with the sum s. Inside, the sum lies between the one with all negative
    and the one with all positive targets of the bin, and the number of points between its ends.
    """
    low, high = w + 1.0, w + inside - 1.0
    least, most = (low, high) if total >= 0.0 else (high, low)
    return max((s + positive) * size - least * total, most * total - (s - negative) * size, 0.0)


@compiled
def by_range(s: Any, w: Any, inside: Any, sum_: Any, size: Any, stats: Any) -> Any:
    """The same bound from the smallest and largest target of the node, good where all are nearly equal.

    About the node's mean, the left sum rises from d by at most `high` per point and must fall to
    d + change at the bin's end by at least `low` per point; and the other way round.
    """
    mean = stats[0] / size
    low, high = stats[1] - mean, stats[2] - mean
    d, change = s - w * mean, sum_ - inside * mean
    rise = d + high * (change - inside * low) / (high - low)
    fall = d + low * (inside * high - change) / (high - low)
    return max(rise, -fall) * size


@compiled
def inner_splits(columns: Any, work: Any, n: Any, target: Any, best: Any, winner: Any) -> Any:
    """The best split of node n inside bins, if better than `best` of code `winner`: (gain, code, two values).

    A tie goes to the code that comes first in `work.codes`, whether it splits at an edge or inside.
    """
    size, total = float(work.bounds[n, 1] - work.bounds[n, 0]), work.stats[n, 0]
    code, low, high = -1, np.float32(0), np.float32(0)
    node = work.node
    ahead = winner >= 0  # whether the codes still come before the winner
    for f in work.codes:
        ahead = ahead and f != winner
        enough = best / _TIE if ahead else best * _TIE
        sums, counts, positive = work.sums[n, f], work.counts[n, f], work.positive[n, f]
        before, number, start, whole = work.before[f], work.number[f], columns.start[f], columns.whole[f]
        order, values = columns.order[f], columns.values[f]
        for b in range(columns.used[f]):
            if counts[b] < 2.0 or whole[b]:
                continue
            s, w, last = before[b], number[b], np.float32(0)
            beyond = w + counts[b] - 1.0
            wanted = enough * min((w + 1.0) * (size - w - 1.0), beyond * (size - beyond))
            if by_sign(s, w, counts[b], positive[b], positive[b] - sums[b], size, total) ** 2 <= wanted:
                continue
            if by_range(s, w, counts[b], sums[b], size, work.stats[n]) ** 2 <= wanted:
                continue
            for i in order[start[b] : start[b + 1]]:
                if node[i] != n:
                    continue
                if w > number[b] and values[i] > np.float32(last + _GAP):
                    t = s * size - w * total
                    gain = t * t / (w * (size - w))
                    if gain > enough:
                        best, code, low, high = gain, f, last, values[i]
                        enough, ahead = best * _TIE, False
                s += target[i]
                w += 1.0
                last = values[i]
    return best, code, low, high


@compiled
def best_split(columns: Any, work: Any, n: Any, target: Any) -> Any:
    """The best split of node n: (code or -1, threshold, decrease of the squared error)."""
    size = work.bounds[n, 1] - work.bounds[n, 0]
    spread = work.stats[n, 2] - work.stats[n, 1]
    if size < 2 or spread * spread <= 4 * 2.220446049250313e-16:  # scikit-learn's bound on the variance
        return -1, 0.0, 0.0
    shuffle(work.codes, work.state)
    best, code, bin_ = edge_splits(columns, work, n)
    best, inner, low, high = inner_splits(columns, work, n, target, best, code)
    if inner >= 0:
        code = inner
    elif code >= 0:
        p = columns.start[code, bin_ + 1]
        while work.node[columns.order[code, p]] != n:
            p += 1
        high = columns.values[code, columns.order[code, p]]
        p = columns.start[code, bin_ + 1] - 1
        while work.node[columns.order[code, p]] != n:
            p -= 1
        low = columns.values[code, columns.order[code, p]]
    if code < 0:
        return -1, 0.0, 0.0
    middle = np.float64(low) / 2.0 + np.float64(high) / 2.0
    return code, (np.float64(low) if middle == np.float64(high) else middle), best / size


@compiled
def part(work: Any, n: Any, values: Any, threshold: Any, target: Any) -> None:
    """Part node n's points: up to the threshold to the left child, the others to the right."""
    first, end = work.bounds[n, 0], work.bounds[n, 1]
    left, lefts, rights = 2 * n + 1, 0, 0
    rows, spare, node = work.rows[first:end], work.spare, work.node
    for j in range(len(rows)):
        i = rows[j]
        right = values[i] > threshold
        node[i] = left + right
        rows[lefts] = i  # both are written and one is kept: no branch to mispredict
        spare[rights] = i
        lefts += not right
        rights += right
    rows[lefts:] = spare[:rights]
    work.bounds[left, 0], work.bounds[left, 1] = first, first + lefts
    work.bounds[left + 1, 0], work.bounds[left + 1, 1] = first + lefts, end
    measure(work, left, target)
    measure(work, left + 1, target)


@compiled
def measure(work: Any, n: Any, target: Any) -> None:
    """Sum, smallest and largest target of node n."""
    total, least, most = 0.0, np.inf, -np.inf
    for i in work.rows[work.bounds[n, 0] : work.bounds[n, 1]]:
        v = target[i]
        total += v
        least = min(least, v)
        most = max(most, v)
    work.stats[n, 0], work.stats[n, 1], work.stats[n, 2] = total, least, most


@compiled
def child_histograms(columns: Any, work: Any, n: Any, target: Any) -> None:
    """Sums by bin of both children: of the smaller from its points, of the other by subtraction."""
    left = work.bounds[2 * n + 1, 1] - work.bounds[2 * n + 1, 0]
    small = 2 * n + 1 if 2 * left <= work.bounds[n, 1] - work.bounds[n, 0] else 2 * n + 2
    large = 4 * n + 3 - small
    rows = work.rows[work.bounds[small, 0] : work.bounds[small, 1]]
    sums, counts, positive = work.sums[small], work.counts[small], work.positive[small]
    add_points(columns.bins, rows, target, sums, counts, positive)
    for f in range(columns.bins.shape[1]):
        for b in range(columns.used[f]):
            work.sums[large, f, b] = work.sums[n, f, b] - sums[f, b]
            work.counts[large, f, b] = work.counts[n, f, b] - counts[f, b]
            work.positive[large, f, b] = work.positive[n, f, b] - positive[f, b]


@compiled
def add_points(bins: Any, rows: Any, target: Any, sums: Any, counts: Any, positive: Any) -> None:
    """Sums by bin of some points."""
    sums[:] = 0.0
    counts[:] = 0.0
    positive[:] = 0.0
    for i in rows:
        v = target[i]
        for f in range(bins.shape[1]):
            b = bins[i, f]
            sums[f, b] += v
            counts[f, b] += 1.0
        if v > 0.0:
            for f in range(bins.shape[1]):
                positive[f, bins[i, f]] += v


@compiled
def cut(ordered: Any, most: Any) -> Any:
    """Cut sorted columns (D, N) into at most so many bins, never between values that count as equal."""
    codes, points = ordered.shape
    least = -(-points // most)
    start = np.zeros((codes, most + 1), np.int32)
    count = np.zeros(codes, np.int32)
    whole = np.zeros((codes, most), np.uint8)
    for f in range(codes):
        first, b = 0, 0
        for p in range(1, points + 1):
            if p == points or (p - first >= least and ordered[f, p] > np.float32(ordered[f, p - 1] + _GAP)):
                whole[f, b] = ordered[f, p - 1] <= np.float32(ordered[f, first] + _GAP)
                b += 1
                start[f, b] = p
                first = p
        count[f] = b
    return start, count, whole


@compiled
def fit(columns: Any, y: Any, test: Any, raw: Any, raw_test: Any, stages: Any, seed: Any) -> Any:
    """Grow all trees; adds them to `raw` (K, N) and `raw_test` (K, M), returns summed importances."""
    trees, points = raw.shape
    codes = columns.values.shape[0]
    work = scratch(codes, columns.whole.shape[1], points, seed)
    tree = Tree(np.full(NODES, -1), np.zeros(NODES), np.zeros(LEAVES))
    target = np.empty((trees, points))
    block = np.zeros((points, LANES))
    sums = np.empty((codes, columns.whole.shape[1], LANES))
    importance = np.zeros(codes)
    shrink = RATE * ((trees - 1) / trees if trees > 1 else 1.0)  # scikit-learn keeps Friedman's factor
    for _ in range(stages):
        residuals(raw, y, target)
        for first in range(0, trees, LANES):
            side_by_side(columns, target, first, block, sums)
            for k in range(min(LANES, trees - first)):
                residual = target[first + k]
                start_tree(columns, work, sums[:, :, k], residual)
                grow(columns, work, tree, residual, importance)
                leaf_values(work, residual, shrink, tree.leaf)
                for i in range(points):
                    raw[first + k, i] += tree.leaf[work.node[i]]
                add_test(tree, test, raw_test[first + k])
    return importance


@compiled
def scratch(codes: Any, bins: Any, points: Any, seed: Any) -> Any:
    shape, edges = (NODES, codes, bins), (codes, bins + 1)
    return Scratch(
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(edges),
        np.zeros(edges),
        np.empty(points, np.int32),
        np.empty(points, np.int32),
        np.empty(points, np.uint8),
        np.zeros((LEAVES, 2), np.int64),
        np.zeros((LEAVES, 3)),
        np.arange(codes),
        np.full(1, seed, np.uint64),
    )


@compiled
def residuals(raw: Any, y: Any, target: Any) -> None:
    """The negative gradient of the log-loss: class indicator minus probability, (K, N)."""
    trees, points = raw.shape
    if trees == 1:
        for i in range(points):
            target[0, i] = y[i] - 1.0 / (1.0 + np.exp(-raw[0, i]))
        return
    largest, total = raw[0].copy(), np.zeros(points)
    for c in range(1, trees):
        for i in range(points):
            largest[i] = max(largest[i], raw[c, i])
    for c in range(trees):
        for i in range(points):
            target[c, i] = np.exp(raw[c, i] - largest[i])
            total[i] += target[c, i]
    for c in range(trees):
        for i in range(points):
            target[c, i] = (1.0 if y[i] == c else 0.0) - target[c, i] / total[i]


@compiled
def side_by_side(columns: Any, target: Any, first: Any, block: Any, sums: Any) -> None:
    """Sums by bin over all points, of LANES classes at once: each bin is looked up once for all."""
    for k in range(min(LANES, len(target) - first)):
        for i in range(len(block)):
            block[i, k] = target[first + k, i]
    sums[:] = 0.0
    for i in range(len(block)):
        for f in range(columns.bins.shape[1]):
            b = columns.bins[i, f]
            for k in range(LANES):
                sums[f, b, k] += block[i, k]


@compiled
def start_tree(columns: Any, work: Any, sums: Any, target: Any) -> None:
    """The root: all points."""
    for f in range(columns.bins.shape[1]):
        for b in range(columns.used[f]):
            work.sums[0, f, b] = sums[f, b]
            work.counts[0, f, b] = columns.start[f, b + 1] - columns.start[f, b]
            work.positive[0, f, b] = 0.0
    total, least, most = 0.0, np.inf, -np.inf
    for i in range(len(target)):
        work.rows[i] = i
        work.node[i] = 0
        total += target[i]
        least = min(least, target[i])
        most = max(most, target[i])
        if target[i] > 0.0:
            for f in range(columns.bins.shape[1]):
                work.positive[0, f, columns.bins[i, f]] += target[i]
    work.stats[0, 0], work.stats[0, 1], work.stats[0, 2] = total, least, most
    work.bounds[:] = 0
    work.bounds[0, 1] = len(target)


@compiled
def grow(columns: Any, work: Any, tree: Any, target: Any, importance: Any) -> None:
    """Split every node down to depth 3; adds each split's gain to its code's importance."""
    for n in range(NODES):
        tree.code[n] = -1
        if work.bounds[n, 1] == work.bounds[n, 0]:
            continue
        code, threshold, gain = best_split(columns, work, n, target)
        if code < 0:
            continue
        tree.code[n], tree.threshold[n] = code, threshold
        importance[code] += gain
        part(work, n, columns.values[code], threshold, target)
        if n < NODES // 2:
            child_histograms(columns, work, n, target)


@compiled
def leaf_values(work: Any, target: Any, shrink: Any, leaf: Any) -> None:
    """One Newton step per leaf: mean residual over mean p(1 - p), shrunk."""
    steps, curves = np.zeros(LEAVES), np.zeros(LEAVES)
    for i in range(len(target)):
        n, size = work.node[i], abs(target[i])
        steps[n] += target[i]
        curves[n] += size * (1.0 - size)
    for n in range(LEAVES):
        number = work.bounds[n, 1] - work.bounds[n, 0]
        usable = number > 0 and curves[n] / number >= 1e-150
        leaf[n] = shrink * steps[n] / curves[n] if usable else 0.0


@compiled
def add_test(tree: Any, test: Any, raw: Any) -> None:
    for i in range(test.shape[1]):
        n = 0
        while n < NODES and tree.code[n] >= 0:
            n = 2 * n + 1 if test[tree.code[n], i] <= tree.threshold[n] else 2 * n + 2
        raw[i] += tree.leaf[n]
