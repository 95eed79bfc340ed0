"""A training step as a CUDA graph: recorded once, then started with one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

WARM = 3  # eager steps before the step is recorded


class StepGraph:
    """Runs a step eagerly the first times, then records it, then replays it.

    The step must read and write at addresses that stay, allocate what it keeps in its first run, and never
    wait for the device. Replayed, it computes what it computed when it was recorded, on what is there now.
    Its GPU must be the current one whenever it runs.
    """

    def __init__(self) -> None:
        self._runs = 0
        self._side: Any = None
        self._graph: Any = None

    def run(self, step: Callable[[], None], optimiser: torch.optim.Optimizer | None = None) -> None:
        """One more step; ``optimiser`` is the one whose gradients it computes, if there is one."""
        if self._graph is None and self._runs < WARM:
            self._on_side_stream(step)
            self._runs += 1
            return
        if self._graph is None:
            self._graph = self._recorded(step, optimiser)
        self._graph.replay()  # recording computed nothing

    def _on_side_stream(self, step: Callable[[], None]) -> None:
        """A step as recording wants the ones before it, on a stream that is not the default one."""
        here = torch.cuda.current_stream()
        if self._side is None:  # one for all, for the allocator keeps each stream's memory apart
            self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._side.wait_stream(here)
        with torch.cuda.stream(self._side):
            step()
        here.wait_stream(self._side)

    def _recorded(self, step: Callable[[], None], optimiser: torch.optim.Optimizer | None) -> Any:
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        if optimiser is not None:
            optimiser.zero_grad(set_to_none=True)  # so that the graph has gradients of its own, written anew
        try:
            with torch.cuda.graph(graph, stream=self._side):
                step()
        finally:
            torch.cuda.set_stream(here)  # which a recording that fails does not put back
        return graph
