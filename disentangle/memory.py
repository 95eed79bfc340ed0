"""Keep freed memory for the next step: a page fetched anew from the system costs more than its content."""

from __future__ import annotations

import ctypes
import functools
import sys

# Parameters of glibc's mallopt, from <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
WHOLE, LARGEST_BEFORE_2_35 = 2**30, 2**25


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for as long as it runs.

    glibc hands every block above some megabytes back to the system when it is freed. A training step
    on a CPU frees its activations, so each step had them mapped, zeroed and faulted in again: 16,000
    page faults and up to half of its time. Called where training or encoding begins.

    Returns:
        Whether the C library can do it (glibc, on Linux); elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    if not mallopt(M_MMAP_THRESHOLD, WHOLE):
        mallopt(M_MMAP_THRESHOLD, LARGEST_BEFORE_2_35)
    return bool(mallopt(M_TRIM_THRESHOLD, WHOLE))
