"""The trees of `_boosting` in batched torch operations, for a GPU: all classes and codes at once.

Every position is looked at, so the work is larger and even; on a CPU that is many times slower than the
compiled loops. Sums are taken in another order, so that near-ties can be decided differently.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from disentangle.metrics._trees import LEAVES, NODES, RATE

_GAP = torch.tensor(1e-7, dtype=torch.float32)
_TIE = 1.0 + 1e-10
_FLAT = 4 * 2.220446049250313e-16


class Splits(NamedTuple):
    """The best split of each node of one level, for each class; all (K, n).

    Attributes:
        code: which code; -1: the node stays whole.
        threshold: points up to it go left.
        gain: decrease of the squared error.
    """

    code: Tensor
    threshold: Tensor
    gain: Tensor


def fit(
    values: Tensor, y: Tensor, test: Tensor, raw: Tensor, raw_test: Tensor, stages: int, seed: int
) -> Tensor:
    """Grow all trees; adds them to `raw` (K, N) and `raw_test` (K, M), returns summed importances (D,).

    Args:
        values: (D, N) float32 training points.
        y: (N,) classes 0, 1, ...
        test: (D, M) float32 test points.
        raw: (K, N) float64 scores to start from, K = 1 for two classes.
        raw_test: (K, M) the same for the test points.
        stages: boosting stages.
        seed: decides between equally good splits.
    """
    order = values.argsort(dim=1, stable=True)
    random = np.random.default_rng(seed)
    importance = values.new_zeros(len(values), dtype=torch.float64)
    trees = len(raw)
    shrink = RATE * ((trees - 1) / trees if trees > 1 else 1.0)
    truth = (y == torch.arange(trees, device=y.device)[:, None] if trees > 1 else y[None] == 1).double()
    for _ in range(stages):
        target = truth - (raw.softmax(dim=0) if trees > 1 else raw.sigmoid())
        node, node_test = (torch.zeros(r.shape, dtype=torch.long, device=r.device) for r in (raw, raw_test))
        for first in (0, 1, 3):  # the first node of each level
            keys = torch.from_numpy(random.random((trees, first + 1, len(values)))).to(values.device)
            splits = _best_splits(values, order, target, node - first, keys)
            importance.index_add_(0, splits.code.clamp(min=0).flatten(), splits.gain.flatten())
            node, node_test = (_descend(v, n, splits, first) for v, n in ((values, node), (test, node_test)))
        leaf = shrink * _newton(target, node)
        raw += leaf.gather(1, node)
        raw_test += leaf.gather(1, node_test)
    return importance


def _best_splits(values: Tensor, order: Tensor, target: Tensor, node: Tensor, keys: Tensor) -> Splits:
    """The best split of each node 0..n-1 of a level; points with another node number take no part."""
    nodes = keys.shape[1]
    kind = torch.arange(nodes, device=values.device)
    at = node[:, order]  # (K, D, N), in the order of each code's values
    own = at.clamp(0, nodes - 1)[..., None]
    inside = at[..., None] == kind  # (K, D, N, n)
    sums = torch.where(inside, target[:, order][..., None], 0.0)
    left, number = ((a.cumsum(2) - a).gather(3, own)[..., 0] for a in (sums, inside.double()))
    total, size = (a.sum(2)[:, 0].gather(1, own.flatten(1)).view_as(left) for a in (sums, inside.double()))
    place = torch.arange(order.shape[1], device=values.device)[:, None]
    seen = torch.where(inside, place, -1).cummax(dim=2).values.roll(1, dims=2)
    seen[:, :, 0] = -1
    last = seen.gather(3, own)[..., 0]
    ordered = values.gather(1, order).expand(at.shape)
    before = ordered.gather(2, last.clamp(min=0))
    usable = inside.any(-1) & (last >= 0) & (ordered > before + _GAP.to(values.device))
    gain = (left * size - number * total) ** 2 / (number * (size - number)) / size
    gain = torch.where(usable, gain, -1.0)
    at_node = torch.where(inside, gain[..., None], -1.0)  # the best position for each node and code
    by_code, position = at_node.max(dim=2)
    best = by_code.max(dim=1, keepdim=True).values
    tied = by_code * _TIE >= best
    code = torch.where(tied, keys.transpose(1, 2), -1.0).argmax(dim=1)  # (K, n)
    spread = _spread(target, node, nodes)
    whole = (best[:, 0] < 0) | (spread**2 <= _FLAT)
    chosen = position.gather(1, code[:, None])[:, 0]
    low, high = (_pick(a, code, chosen).double() for a in (before, ordered))
    middle = low / 2 + high / 2
    threshold = torch.where(middle == high, low, middle)
    return Splits(torch.where(whole, -1, code), threshold, torch.where(whole, 0.0, best[:, 0]))


def _pick(table: Tensor, code: Tensor, position: Tensor) -> Tensor:
    """table[k, code[k, n], position[k, n]]."""
    return table[torch.arange(len(table), device=table.device)[:, None], code, position]


def _spread(target: Tensor, node: Tensor, nodes: int) -> Tensor:
    """Largest minus smallest target of each node (K, n)."""
    inside = node[..., None] == torch.arange(nodes, device=node.device)
    largest = torch.where(inside, target[..., None], -torch.inf).amax(1)
    return (largest - torch.where(inside, target[..., None], torch.inf).amin(1)).nan_to_num(0.0, 0.0, 0.0)


def _descend(values: Tensor, node: Tensor, splits: Splits, first: int) -> Tensor:
    """Each point's node after a level, (K, N)."""
    nodes = splits.code.shape[1]
    local = (node - first).clamp(0, nodes - 1)
    code, threshold = splits.code.gather(1, local), splits.threshold.gather(1, local)
    right = values.t().expand(len(node), -1, -1).gather(2, code.clamp(min=0)[..., None])[..., 0] > threshold
    return torch.where((node >= first) & (code >= 0), 2 * node + 1 + right, node)


def _newton(target: Tensor, node: Tensor) -> Tensor:
    """Each leaf's Newton step (K, LEAVES): sum of residuals over sum of p(1 - p)."""
    zero = target.new_zeros(len(target), LEAVES)
    step = zero.scatter_add(1, node, target)
    curve = zero.scatter_add(1, node, target.abs() * (1 - target.abs()))
    number = zero.scatter_add(1, node, torch.ones_like(target))
    return torch.where(curve / number.clamp(min=1) >= 1e-150, step / curve.clamp(min=1e-300), 0.0)


assert NODES == 7  # three levels, as the loop above goes through
