"""The commands that carry out studies: study, status, demo."""

from __future__ import annotations

# torch and scikit-learn are imported inside the commands, so that --help answers at once.
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from disentangle.cli_options import Device, Source, Workers


def study(
    path: Annotated[
        Path | None, Parameter(help="A study file, or a folder with a study.toml; none with --preset.")
    ] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The study's folder; the file's own if left out.")] = None,
    workers: Annotated[
        int | None,
        Parameter(
            help="Processes at once, one per core if left out; on a cluster, jobs at once, 100 if left out.",
            validator=Number(gte=1),
        ),
    ] = None,
    device: Device = "auto",
    stack: Annotated[
        int | None,
        Parameter(
            help="Train so many alike runs as one; 1 on a CPU, what fits on a GPU.", validator=Number(gte=1)
        ),
    ] = None,
    engine: Annotated[str, Parameter(help="Where: local, slurm or ray.")] = "local",
    option: Annotated[
        list[str] | None,
        Parameter(help="Of the engine, such as partition=gpu; may be repeated.", negative=""),
    ] = None,
    lean: Annotated[bool, Parameter(help="Keep no codes of runs that have their row.", negative="")] = False,
    log: Annotated[
        list[str] | None,
        Parameter(help="Losses also to tensorboard or wandb; may be repeated.", negative=""),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        Parameter(help="Steps between checkpoints; 500, or 20,000 on a GPU.", validator=Number(gte=1)),
    ] = None,
    dry_run: Annotated[
        bool, Parameter(help="Only say what would be done, how long and how much disk.", negative="")
    ] = False,
    preset: Annotated[
        str | None, Parameter(help="A published study: locatello2019, locatello2020 or hsu2023.")
    ] = None,
    write: Annotated[Path | None, Parameter(help="The study file that --preset makes.")] = None,
    dataset: Annotated[
        list[str] | None, Parameter(help="Of the preset, only this; may be repeated.", negative="")
    ] = None,
    method: Annotated[
        list[str] | None, Parameter(help="Of the preset, only this; may be repeated.", negative="")
    ] = None,
    seeds: Annotated[str | None, Parameter(help="Of the preset, only these, such as 0-4 or 0,3.")] = None,
    steps: Annotated[int | None, Parameter(help="Instead of the preset's 300,000.")] = None,
    source: Source = "auto",
) -> None:
    """Carry out a study file and write its tables; the same command again does what is left.

    With --preset and --write the published study becomes such a file, whole or in part.

    Example: disentangle study results/quick/study.toml

    Example: disentangle study --preset locatello2019 --dataset dsprites --method beta_vae --seeds 0-4
    --steps 5000 --write betas/study.toml
    """
    from disentangle import find
    from disentangle.commands import carry_out_and_print, named_values, print_plan, write_preset
    from disentangle.errors import InputError
    from disentangle.study import study_file

    find.get("engine", engine)
    shaping = (write, dataset, method, seeds, steps, None if source == "auto" else source)
    if preset is None and any(given is not None for given in shaping):
        raise InputError(
            "--write, --dataset, --method, --seeds, --steps and --source make a file from a --preset; "
            "a study file says these itself"
        )
    if preset is not None:
        if write is None or path is not None:
            raise InputError("--preset makes a study file: name it with --write, and give no other")
        if any((out, workers, stack, option, lean, log, checkpoint_every, dry_run)):
            raise InputError(
                "--preset only makes a study file; carry it out, or dry-run it, with a second command"
            )
        written = write_preset(write, preset, dataset, method, seeds, steps, source)
        print(f"written: {written}\nnext: disentangle study {written} --dry-run")
        return
    if path is None:
        raise InputError("name a study file, or a --preset with --write to make one")
    folder = out or study_file(path).parent
    if dry_run:
        print_plan(path, folder, workers, device, stack, lean, engine)
        return
    carry_out_and_print(
        path, folder, workers, device=device, stack=stack, engine=engine, lean=lean,
        options=named_values(option or [], "--option"), loggers=log or (),
        checkpoint_every=checkpoint_every,
    )  # fmt: skip


def status(folder: Path, /) -> None:
    """Say how far a study is: rows, what runs and where it is, what failed and why, time left.

    Example: disentangle status results/quick
    """
    from disentangle.status import describe
    from disentangle.status import status as look
    from disentangle.study import read_study, study_file

    print(describe(look(read_study(folder), study_file(folder).parent)))


def demo(
    *,
    out: Annotated[Path, Parameter(help="Where the results go.")] = Path("disentangle-demo"),
    workers: Workers = None,
    device: Device = "auto",
) -> None:
    """Train and score three small models on drawn dSprites in a few minutes.

    Example: disentangle demo
    """
    from disentangle.commands import carry_out_and_print

    carry_out_and_print(Path(__file__).parent / "studies" / "demo.toml", out, workers, device=device)
