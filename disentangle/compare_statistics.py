"""Two samples: difference, interval, effect size and p, paired or not; Holm's correction for many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_EQUAL = 1e-12  # of the values: differences and spreads below it are rounding


@dataclass(frozen=True)
class Test:
    """The difference of two means and what is known of it.

    Attributes:
        kind: ``"paired t"`` or ``"Welch t"``.
        difference: mean of the first sample minus that of the second.
        half_width: of its 95 % interval (Student's).
        effect: a standardised difference: Cohen's d_z where paired, else Hedges' g.
        effect_name: ``"d_z"`` or ``"g"``.
        p: of the two-sided t-test that the means are equal.
    """

    kind: str
    difference: float
    half_width: float
    effect: float
    effect_name: str
    p: float


def paired(first: Sequence[float], second: Sequence[float]) -> Test | None:
    """Student's paired t-test: with d the differences of n pairs, and s their deviation (n - 1)::

        t = mean(d) / (s / sqrt(n))        n - 1 degrees of freedom
        interval = mean(d) +- t(0.975, n - 1) s / sqrt(n)
        d_z = mean(d) / s

    Where all differences are equal up to rounding there is no test, and None: without a spread two pairs
    would show as much as a thousand. Swapping the samples changes signs alone.

    Args:
        first, second: values of the same length, two or more, of which those at one place belong together.

    Raises:
        ValueError: the lengths differ, or are below two.

    Source: Student 1908; d_z is Cohen's (1988).

    >>> test = paired([0.3, 0.5, 0.4], [0.2, 0.3, 0.1])
    >>> round(test.difference, 3), round(test.half_width, 3), round(test.effect, 3), round(test.p, 4)
    (0.2, 0.248, 2.0, 0.0742)
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or len(a) < 2:
        raise ValueError(f"expected two or more pairs, got {len(a)} and {len(b)} values")
    d, n, rounding = a - b, len(a), _rounding(a, b)
    spread, difference = float(d.std(ddof=1)), _unless(float(d.mean()), rounding)
    if spread <= rounding:
        return None
    half, p = _student(difference, spread / math.sqrt(n), n - 1)
    return Test("paired t", difference, half, difference / spread, "d_z", p)


def welch(first: Sequence[float], second: Sequence[float]) -> Test | None:
    """Welch's t-test of two independent samples, whose variances v (n - 1) may differ::

        se^2 = v1 / n1 + v2 / n2       t = (m1 - m2) / se
        degrees of freedom = se^4 / ((v1 / n1)^2 / (n1 - 1) + (v2 / n2)^2 / (n2 - 1))
        g = J (m1 - m2) / sqrt(((n1 - 1) v1 + (n2 - 1) v2) / k)    k = n1 + n2 - 2
        J = gamma(k / 2) / (sqrt(k / 2) gamma((k - 1) / 2))        Hedges' correction for few values

    Where neither sample varies, up to rounding, there is no test, and None.

    Args:
        first, second: two or more values each.

    Raises:
        ValueError: fewer values.

    Source: Welch 1947; Hedges 1981.

    >>> test = welch([0.3, 0.5, 0.4], [0.2, 0.3])
    >>> round(test.difference, 3), round(test.half_width, 3), round(test.effect, 3), round(test.p, 4)
    (0.15, 0.249, 1.189, 0.148)
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"expected two or more values each, got {len(a)} and {len(b)}")
    rounding = _rounding(a, b)
    difference = _unless(float(a.mean() - b.mean()), rounding)
    va, vb = (_unless(float(x.std(ddof=1)), rounding) ** 2 for x in (a, b))
    if va == vb == 0:
        return None
    ea, eb, k = va / len(a), vb / len(b), len(a) + len(b) - 2
    below = ea**2 / (len(a) - 1) + eb**2 / (len(b) - 1)
    freedom = (ea + eb) ** 2 / below if below > 0 else float(k)
    half, p = _student(difference, math.sqrt(ea + eb), freedom)
    pooled = math.sqrt(((len(a) - 1) * va + (len(b) - 1) * vb) / k)
    few = math.exp(math.lgamma(k / 2) - math.lgamma((k - 1) / 2)) / math.sqrt(k / 2)
    return Test("Welch t", difference, half, few * difference / pooled, "g", p)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p of all comparisons that were made: they control the chance of any false one.

    With the m values sorted upwards, ``adjusted(i) = max over j <= i of min(1, (m - j + 1) p(j))``.

    Source: Holm 1979.

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    found, largest = [0.0] * len(p), 0.0
    for place, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - place) * p[i]))
        found[i] = largest
    return found


def _student(difference: float, error: float, freedom: float) -> tuple[float, float]:
    """Half of the 95 % interval and the two-sided p of a difference with a standard error."""
    from scipy.stats import t

    p = 2 * float(t.sf(abs(difference / error), freedom))
    return float(t.ppf(0.975, freedom)) * error, p


def _rounding(*samples: NDArray[np.float64]) -> float:
    """What is no more than rounding among values of this size, as between 0.1 + 0.2 and 0.3."""
    return _EQUAL * float(max(np.abs(sample).max() for sample in samples))


def _unless(value: float, rounding: float) -> float:
    return value if abs(value) > rounding else 0.0
