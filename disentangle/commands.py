"""What the commands of the command line do beyond one call of the library."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle.encode import cache_file, encode, evaluation_rows
from disentangle.errors import InputError
from disentangle.files import write_bytes
from disentangle.launch import carry_out
from disentangle.rows import is_complete, read_row
from disentangle.score import read_codes
from disentangle.study import plan, read_study, resolve_sources, study_file
from disentangle.table import write_tables
from disentangle.train import choose_device, load_trained

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hyperparameters(pairs: list[str]) -> dict[str, int | float | str]:
    """Settings written as NAME=VALUE, as numbers where they are numbers.

    Raises:
        InputError: a text is no such pair.

    >>> hyperparameters(["beta=4", "k=rnd"])
    {'beta': 4, 'k': 'rnd'}
    """
    found: dict[str, int | float | str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--set takes NAME=VALUE, such as beta=4, got {pair!r}")
        found[name] = _number(text)
    return found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def codes_of(path: Path, rows: int | None, device: str) -> tuple[NDArray[Any], NDArray[Any], int | None]:
    """Codes and factors of a run's folder, encoded and cached there, and its seed; or those of an ``.npz``.

    Raises:
        InputError: the path holds neither, or rows were asked of an ``.npz``.
    """
    if not path.is_dir():
        if rows is not None:
            raise InputError(f"--rows {rows} is for a run's folder; {path} is scored as it is")
        return *read_codes(path), None
    trained, data = load_trained(path, device)
    chosen = evaluation_rows(data, rows)
    codes = encode(trained.run, trained.model, data, chosen, cache=cache_file(path, rows), progress=True)
    return codes, data.factors(chosen), trained.run.seed


def print_plan(path: Path, folder: Path) -> None:
    """Print every row that a study asks for, and whether it exists."""
    study = read_study(path)
    ids = study.metric_ids()
    for task in plan(study, resolve_sources(study)):
        exists = is_complete(read_row(folder / "rows" / f"{task.key()}.json"), ids)
        state = "exists" if exists else "to do"
        print(f"{task.key()}  {state:6}  {task.dataset:10} {task.label()}, seed {task.seed}")


def carry_out_and_print(
    path: Path, folder: Path, workers: int | None, device: str, stack: int | None = None
) -> None:
    """Carry out a study, write its tables, print the leaderboard and where everything is.

    Raises:
        SystemExit: with status 1 if a run failed, after the tables are written.
    """
    study, file = read_study(path), study_file(path)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "study.toml"
    if kept.resolve() != file.resolve():
        if kept.exists() and (name := read_study(kept).name) != study.name:
            raise InputError(f"{folder} holds the study {name!r}, not {study.name!r}; choose another --out")
        write_bytes(kept, file.read_bytes())
    if workers is None:
        workers = 1 if choose_device(device).type == "cuda" else cores()
    outcomes = carry_out(study, folder, workers=workers, device=device, stack=stack)
    print(write_tables(folder))
    kinds = ("table.md", "table.csv", "summary.csv", "rows", "pictures")
    print("written: " + ", ".join(str(folder / kind) for kind in kinds))
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        print(f"failed: {outcome.message}", file=sys.stderr)
    if failed:
        raise SystemExit(1)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
