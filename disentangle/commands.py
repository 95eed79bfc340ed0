"""What the commands of the command line do beyond one call of the library."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle.encode import cache_file, encode, evaluation_rows
from disentangle.errors import InputError
from disentangle.files import write_bytes
from disentangle.joined import read_studies
from disentangle.launch import carry_out, check_splits, check_writable
from disentangle.page import Pictures, write_page
from disentangle.score import read_codes
from disentangle.study import read_study, study_file
from disentangle.table import make_tables, place_of, save_tables
from disentangle.train import choose_device, load_trained

if TYPE_CHECKING:
    from numpy.typing import NDArray


CLUSTER_WORKERS = 100  # jobs at once, if nobody says


def named_values(pairs: list[str], flag: str) -> dict[str, str]:
    """Settings written as NAME=VALUE.

    Args:
        pairs: the texts.
        flag: where they stood, for the message.

    Raises:
        InputError: a text is no such pair, or a name is there twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise InputError(f"{flag} takes NAME=VALUE, such as beta=4, got {pair!r}")
        if name in found:
            raise InputError(f"{flag} {name} is there twice, as {found[name]!r} and {text!r}; expected once")
        found[name] = text
    return found


def hyperparameters(pairs: list[str]) -> dict[str, int | float | str]:
    """Settings written as NAME=VALUE, as numbers where they are numbers.

    Raises:
        InputError: a text is no such pair.

    >>> hyperparameters(["beta=4", "k=rnd"])
    {'beta': 4, 'k': 'rnd'}
    """
    return {name: _number(text) for name, text in named_values(pairs, "--set").items()}


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


def print_plan(
    path: Path, folder: Path, workers: int | None, device: str, stack: int | None, lean: bool, engine: str
) -> None:
    """Print what a study asks for, what of it exists, and what the rest will take; writes nothing.

    Speeds are those of this machine, also for a cluster.
    """
    from disentangle import estimate, status

    study = read_study(path)
    found = status.status(study, folder)
    check_splits(found.tasks)
    print(status.describe(found, times=False))
    target = choose_device(device)
    made = estimate.estimate(found, target, stack, lambda text: print(text, file=sys.stderr))
    at_once = workers or _workers(engine)
    print(estimate.describe(made, at_once, lean))
    needed, free = sum(made.disk(lean, at_once).values()), estimate.free_space(folder)
    if needed > free:
        print(f"warning: {free / 1e9:.1f} GB are free in {folder}, up to {needed / 1e9:.1f} GB are needed")


def _workers(engine: str) -> int:
    """How many processes at once, if nobody says."""
    return cores() if engine == "local" else CLUSTER_WORKERS


def carry_out_and_print(path: Path, folder: Path, workers: int | None = None, **options: Any) -> None:
    """Carry out a study, write its tables, print the leaderboard and where everything is.

    Args:
        path: the study file, or its folder.
        folder: where everything goes.
        workers: how many processes at once; one per core if left out, or 100 jobs on a cluster.
        options: see `disentangle.launch.carry_out`.

    Raises:
        SystemExit: with status 1 if a run failed, after the tables are written.
    """
    study, file = read_study(path), study_file(path)
    check_writable(folder)
    keep_study(file, folder, study.name)
    workers = workers or _workers(options.get("engine", "local"))
    outcomes = carry_out(study, folder, workers=workers, **options)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    left = sum(outcome.status == "left" for outcome in outcomes)
    try:
        print("\n".join(write_tables_and_page([folder])))
    finally:  # a full disk takes the tables too
        for outcome in failed:
            print(f"failed: {outcome.message}", file=sys.stderr)
        if left:
            print(f"stopped with {left} rows not begun; the same command goes on", file=sys.stderr)
    if failed or left:
        raise SystemExit(1)


def write_tables_and_page(
    folders: Sequence[Path],
    rules: Sequence[str] | None = None,
    out: Path | None = None,
    pictures: Pictures = "auto",
) -> list[str]:
    """Write everything that is made of rows.

    Args:
        folders: of studies.
        rules: selection rules; the studies' own if left out.
        out: where it goes; the folder itself if there is one.
        pictures: of the runs, in the page: see `disentangle.page.write_page`.

    Returns:
        The leaderboard as Markdown, and what was written, to be printed.
    """
    place = place_of(folders, out)
    tables = make_tables(read_studies(folders), rules)
    text = save_tables(tables, place)
    said = write_page(tables, place, pictures)
    kinds = (
        "table.md",
        "table.csv",
        "summary.csv",
        "selection.csv",
        "table.tex",
        "figures",
        "rows",
        "runs",
        "pictures",
    )
    there = [str(place / kind) for kind in kinds if (place / kind).exists()]
    shown = text.replace("<br>", " ")  # which breaks a line in Markdown, and no line of a terminal
    return [shown, f"there: {', '.join(there)}", *said]


def keep_study(file: Path, folder: Path, name: str) -> None:
    """Put a copy of the study file into the study's folder.

    Raises:
        InputError: the folder holds another study.
    """
    kept = folder / "study.toml"
    if kept.resolve() != file.resolve():
        if kept.exists() and (other := read_study(kept).name) != name:
            raise InputError(f"{folder} holds the study {other!r}, not {name!r}; choose another --out")
        write_bytes(kept, file.read_bytes())


def write_preset(
    path: Path, name: str, datasets: list[str] | None, methods: list[str] | None, seeds: str | None,
    steps: int | None, source: str,
) -> Path:  # fmt: skip
    """Write a published study, or a part of it, as a study file.

    Raises:
        InputError: the file is there and says something else, or the preset has no such part.
    """
    from disentangle.presets import parse_seeds, preset, to_toml

    chosen = preset(
        name,
        datasets=datasets,
        methods=methods,
        seeds=None if seeds is None else parse_seeds(seeds),
        steps=steps,
        source=source,
    )
    command = "disentangle " + " ".join(shlex.quote(argument) for argument in sys.argv[1:])
    content = to_toml(chosen, preset=name, command=command).encode()
    if path.exists() and read_study(path) != chosen:
        raise InputError(f"{path} exists and holds another study; choose another name for --write")
    write_bytes(path, content)
    return path


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
