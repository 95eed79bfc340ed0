"""Keep freed memory for the next step: a page fetched anew from the system costs more than its content."""

from __future__ import annotations

import ctypes
import functools
import sys

# Parameters of glibc's mallopt (<malloc.h>) and of Linux's madvise (<sys/mman.h>).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MADV_HUGEPAGE = 14
WHOLE, LARGEST_BEFORE_2_35 = 2**30, 2**25
HEAP, HUGE, PAGE = 2**29, 2**21, 2**12  # of address space, which costs nothing until it is used


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for as long as it runs, on large pages.

    glibc hands every block above some megabytes back to the system when it is freed. A training step
    on a CPU frees its activations, so each step had them mapped, zeroed and faulted in again: 16,000
    page faults and up to half of its time. And a step walks through all its memory, so that on pages of
    4 kB the processor spends some percent of its time on looking up where they are. Called where
    training or encoding begins.

    Returns:
        Whether the C library can do it (glibc, on Linux); elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    whole = bool(mallopt(M_MMAP_THRESHOLD, WHOLE))
    if not whole:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BEFORE_2_35)
    kept = bool(mallopt(M_TRIM_THRESHOLD, WHOLE))
    if whole and kept:
        _ask_for_huge_pages(libc)
    return kept


def _ask_for_huge_pages(libc: ctypes.CDLL) -> None:
    """Mark what the heap will next grow into; the mark stays when the block is freed, unused."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = libc.malloc(HEAP)
    if not start:
        return
    aligned = (start + HUGE - 1) // HUGE * HUGE
    libc.madvise(aligned, (start + HEAP - aligned) // PAGE * PAGE, MADV_HUGEPAGE)  # may be refused
    libc.free(start)
