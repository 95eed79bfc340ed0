"""Loops compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function compiled by numba at its first call, and kept on disk for the next process."""
    import numba  # slow to import, so not before

    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        made: Any = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no place to write to: every process compiles anew
        made = numba.njit(**options)(function)
    return cast(Function, made)
