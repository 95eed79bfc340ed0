"""What people see of a study in progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from disentangle.checkpoint import last_line
from disentangle.run import Run
from disentangle.study import Task

SHOWN = 4  # runs whose state fits on a line


class Bar:
    """One progress bar over all rows, with what each running one is doing, read from their logs."""

    def __init__(self, tasks: Sequence[Task], runs: Path, hidden: bool = False) -> None:
        self.folder = runs
        self.runs = {t.key(): t for t in tasks if isinstance(t, Run)}
        self.bar = tqdm(
            total=len(tasks),
            disable=True if hidden else None,
            leave=False,
            bar_format="{n_fmt}/{total_fmt} rows {elapsed}{postfix}",
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def ended(self, key: str) -> None:
        """Count a row."""
        self.runs.pop(key, None)
        self.bar.update()

    def show(self, keys: Iterable[str]) -> None:
        """Show where the runs with these keys are."""
        if not self.bar.disable:
            runs = [self.runs[key] for key in keys if key in self.runs]
            states = [state(run, self.folder / run.key()) for run in runs[:SHOWN]]
            more = [f"and {len(runs) - SHOWN} more"] if len(runs) > SHOWN else []
            self.bar.set_postfix_str(" | ".join([*states, *more]))


def state(run: Run, folder: Path) -> str:
    """Where a run is, in few words: two of them must fit on a line."""
    name, last = f"{run.label()} s{run.seed}", last_line(folder)
    if last is None:
        return f"{name} starts"
    if last["step"] >= run.updates():
        return f"{name} is scored"
    seconds = last["seconds"] * last.get("stack", 1)  # of the whole stack
    minutes = (run.updates() - last["step"]) * seconds / last["step"] / 60
    elbo = last.get("elbo", -last["objective"])
    return f"{name} {last['step']}/{run.updates()} elbo {elbo:.0f} {minutes:.0f} min"
