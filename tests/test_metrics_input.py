"""Every metric refuses input it cannot use, and says which field, what was found and what was expected."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from disentangle.errors import InputError
from disentangle.find import get, names

OF_CODES = [name for name in names("metric") if not get("metric", name).of_models]
FACTORS = np.tile(np.indices((3, 4)).reshape(2, -1).T, (5, 1))
CODES = np.random.default_rng(0).normal(size=(60, 3))


def changed(table: Any, row: int, column: int, value: float) -> Any:
    table = table.astype(float)
    table[row, column] = value
    return table


BAD = {
    "codes 1-D": (CODES[:, 0], FACTORS, r"^codes have shape \(60,\).*\(N, D\).*codes\[:, None\]"),
    "codes 3-D": (CODES[None], FACTORS, r"^codes have shape \(1, 60, 3\).*\(N, D\)"),
    "codes text": (np.full((60, 3), "a"), FACTORS, r"^codes have dtype <U1; expected real numbers"),
    "codes objects": (np.full((60, 3), None), FACTORS, r"^codes have dtype object"),
    "codes complex": (CODES + 1j, FACTORS, r"^codes have dtype complex128"),
    "codes ragged": ([[1.0], [1.0, 2.0]], FACTORS, r"^codes cannot be read as an array"),
    "codes NaN": (changed(CODES, 7, 1, np.nan), FACTORS, r"^codes have 1 of 180 .* nan, in row 7, column 1"),
    "codes inf": (
        changed(CODES, 9, 2, -np.inf),
        FACTORS,
        r"^codes have 1 of 180 .* -inf, in row 9, column 2",
    ),
    "no rows": (CODES[:0], FACTORS[:0], r"^codes are empty, shape \(0, 3\)"),
    "no codes": (CODES[:, :0], FACTORS, r"^codes are empty, shape \(60, 0\)"),
    "no factors": (CODES, FACTORS[:, :0], r"^factors are empty, shape \(60, 0\)"),
    "lengths": (CODES, FACTORS[:-1], r"^codes have 60 rows and factors 59"),
    "factors 1-D": (CODES, FACTORS[:, 0], r"^factors have shape \(60,\).*factors\[:, None\]"),
    "factors text": (CODES, FACTORS.astype(str), r"^factors have dtype <U"),
    "factors NaN": (CODES, changed(FACTORS, 3, 0, np.nan), r"^factors have 1 of 120 .* row 3, column 0"),
    "continuous": (
        CODES,
        changed(FACTORS, 5, 1, 0.25),
        r"row 5, column 1 is 0\.25.*np\.unique.*digitize",
    ),
    "negative": (CODES, changed(FACTORS, 4, 1, -1.0), r"negative: row 4, column 1 is -1"),
    "huge": (CODES, changed(FACTORS, 4, 1, 1e300), r"above 2\*\*53: row 4, column 1 is 1e\+300"),
    "constant factor": (CODES, FACTORS * [1, 0], r"^factors column 1 is constant, 0 in all"),
}


@pytest.mark.parametrize("name", OF_CODES)
@pytest.mark.parametrize("case", BAD)
def test_bad_arrays(name: str, case: str) -> None:
    codes, factors, message = BAD[case]
    with pytest.raises(InputError) as caught:
        get("metric", name).function(codes, factors)
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("name", OF_CODES)
@pytest.mark.parametrize("rng", [-1, 1.5, None, "0", True])
def test_bad_seed(name: str, rng: Any) -> None:
    with pytest.raises(InputError, match=r"rng is .*expected a non-negative integer seed"):
        get("metric", name).function(CODES, FACTORS, rng=rng)


@pytest.mark.parametrize(
    ("name", "option"),
    [(n, o) for n in OF_CODES for o in get("metric", n).published if o.endswith("points")],
)
@pytest.mark.parametrize("value", [0, -5, 2.5, True, "many"])
def test_bad_number_of_points(name: str, option: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{option} is {value!r}; expected a whole number of at least 1"):
        get("metric", name).function(CODES, FACTORS, **{option: value})
