"""Training and test points, for the metrics that fit something."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from disentangle.errors import InputError
from disentangle.metrics import _points

Points = tuple[_points.Codes, _points.Factors]


def split(
    codes: ArrayLike,
    factors: ArrayLike,
    test: tuple[ArrayLike, ArrayLike] | None,
    rng: np.random.Generator,
    train_points: int | None,
    test_points: int | None,
    *,
    disjoint: bool = False,
) -> tuple[Points, Points]:
    """Training and test points, each as (codes, factors), by the first rule that applies.

    1. `test` is given: it and the table, and where a number is given, that many rows of each, drawn
       with replacement.
    2. Both numbers are given: `train_points`, then `test_points` rows of the table, drawn with
       replacement; a row can occur in both.
    3. A random two thirds of the table train, the rest test.

    With `disjoint` no row is drawn twice: rule 2 parts the rows between training and test points, in the
    proportion of the two numbers where the table has too few.

    Raises:
        InputError: the arrays or numbers cannot be used, a factor is constant in the training points,
            or there are fewer of them than classes of a factor.
    """
    train = _points.check(codes, factors)
    train_points = None if train_points is None else _points.check_count(train_points, "train_points")
    test_points = None if test_points is None else _points.check_count(test_points, "test_points")
    if test is not None:
        held_out = _check_test(test, train)
    elif (train_points is None) != (test_points is None):
        missing, given = ("train", "test") if train_points is None else ("test", "train")
        raise InputError(
            f"{given}_points is given and {missing}_points is not; "
            "expected both, neither, or test=(codes, factors)"
        )
    elif train_points is not None:
        held_out = train
    else:
        train, held_out = _thirds(train, rng)
    if disjoint and test is None and train_points is not None and test_points is not None:
        train, held_out = _apart(train, train_points, test_points, rng)
        train_points = test_points = None
    used, field = (len(train[0]), "the number of training rows")
    if train_points is not None:
        used, field = train_points, "train_points"
    _points.check_factors(train[1], used, field=field)
    train = _points.draw(*train, train_points, rng, replace=not disjoint)
    _points.check_factors(train[1], used, field=field)  # a rare class may not have been drawn
    return train, _points.draw(*held_out, test_points, rng, replace=not disjoint)


def _apart(table: Points, train: int, test: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """So many rows of each, none in both; fewer in the same proportion where there are too few."""
    codes, factors = table
    if len(codes) < 2:
        raise InputError(f"codes have {len(codes)} rows; expected at least 2, one to train and one to test")
    rows = rng.choice(len(codes), min(train + test, len(codes)), replace=False)
    cut = min(max(1, len(rows) * train // (train + test)), len(rows) - 1)
    first, last = rows[:cut], rows[cut:]
    return (codes[first], factors[first]), (codes[last], factors[last])


def _check_test(test: tuple[ArrayLike, ArrayLike], train: Points) -> Points:
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise InputError(f"test is a {type(test).__name__}; expected the pair (codes, factors)")
    held_out = _points.check(*test, name="test")
    for field, ours, theirs in zip(("codes", "factors"), train, held_out, strict=True):
        if ours.shape[1] != theirs.shape[1]:
            raise InputError(
                f"test {field} have {theirs.shape[1]} columns; expected {ours.shape[1]} as in {field}"
            )
    return held_out


def _thirds(table: Points, rng: np.random.Generator) -> tuple[Points, Points]:
    """Two thirds and one third of the rows, shuffled."""
    codes, factors = table
    if len(codes) < 3:
        raise InputError(
            f"codes have {len(codes)} rows; expected at least 3, to train on two thirds and test on the rest"
        )
    order = rng.permutation(len(codes))
    first, last = np.split(order, [len(order) - len(order) // 3])
    return (codes[first], factors[first]), (codes[last], factors[last])
