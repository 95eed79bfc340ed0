"""The command line: arguments and help. What the commands do is the library's, and `commands`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

# torch and scikit-learn are imported inside the commands, so that --help answers at once.
from cyclopts import App, Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from disentangle.data import FactorData

app = App(
    name="disentangle",
    help="The benchmark suite for disentangled representations.\n\nStart with: disentangle demo",
    version_flags=["--version"],
    version=lambda: _version(),
    suppress_keyboard_interrupt=False,  # main says what becomes of the work
)
Source = Annotated[
    str,
    Parameter(help="official, drawn, user, or auto: official where the file is found, user for your own."),
]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:1.")]
Workers = Annotated[
    int | None,
    Parameter(help="Processes at once; one per core on a CPU if left out.", validator=Number(gte=1)),
]


def _version() -> str:
    from disentangle.provenance import version

    return version()


@app.command
def data(
    name: Annotated[str, Parameter(help="A data set, or a file of your own: FILE.npz.")],
    /,
    *,
    source: Source = "auto",
    path: Annotated[
        Path | None, Parameter(help="The official file, where it is not in the usual places.")
    ] = None,
    download: Annotated[bool, Parameter(help="Fetch the official file first.", negative="")] = False,
    add: Annotated[
        bool,
        Parameter(help="Put FILE.npz into the data folder; studies find it by its name.", negative=""),
    ] = False,
    size: Annotated[
        int | None,
        Parameter(help="Resize FILE's images to so many pixels (Lanczos).", validator=Number(gte=1)),
    ] = None,
    picture: Annotated[Path | None, Parameter(help="Write a contact sheet, one row per factor.")] = None,
) -> None:
    """Show what a data set is and where it comes from; or check a file of your own, and add it.

    Example: disentangle data dsprites --picture sheet.png

    Example: disentangle data mine.npz --add
    """
    from disentangle import find
    from disentangle.errors import InputError
    from disentangle.listing import describe

    if name.endswith(".npz"):
        if download or path is not None or source not in ("auto", "user"):
            raise InputError(
                f"{name} is a file of your own; --source, --path and --download are for a data set's name"
            )
        loaded = _own_file(Path(name), size, add)
        title, paper = loaded.name, "own data"
    elif add or size is not None:
        raise InputError(f"--add and --size are for a file of your own, FILE.npz, got {name!r}")
    else:
        dataset = find.get("dataset", name)
        if download:
            if dataset.download is None:
                raise InputError(f"the data set {name!r} has no official file to download")
            path = dataset.download()
        loaded, title, paper = dataset.load(source, path), dataset.title, dataset.paper
    print(describe(title, paper, loaded))
    if picture is not None:
        from disentangle.pictures import contact_sheet

        contact_sheet(loaded, picture)
        print(f"picture   {picture}")


def _own_file(path: Path, size: int | None, add: bool) -> FactorData:
    """A user's file, checked, and added to the data folder if asked."""
    from disentangle import own_files

    if not add:
        return own_files.read(path, size)
    place, found, new = own_files.add(path, size)
    print(f'{"added" if new else "there already"}: {place}\nin a study: dataset = "{found.name}"')
    return found


@app.command(name="list")
def list_what_is(
    kind: Annotated[
        Literal["methods", "datasets", "metrics", "engines"] | None, Parameter(help="Only these.")
    ] = None,
    /,
) -> None:
    """List methods, data sets, metrics and engines: name, title, paper, what it is, and its settings.

    Example: disentangle list methods
    """
    from shutil import get_terminal_size

    from disentangle.listing import KINDS, listing

    width = get_terminal_size().columns if sys.stdout.isatty() else None
    print(listing([kind] if kind else [*KINDS], width))


@app.command
def train(
    *,
    method: Annotated[str, Parameter(help="vae, beta_vae, ada_gvae, ...")],
    dataset: Annotated[str, Parameter(help="dsprites, shapes3d, ...")] = "dsprites",
    set: Annotated[
        list[str] | None, Parameter(help="A hyperparameter, such as beta=4; may be repeated.", negative="")
    ] = None,
    seed: int = 0,
    steps: int = 300_000,
    batch: int = 64,
    lr: float = 1e-4,
    source: Source = "auto",
    device: Device = "auto",
    threads: Annotated[
        int,
        Parameter(
            help="On a CPU. Another number moves the last digits of the results.", validator=Number(gte=1)
        ),
    ] = 1,
    precision: Annotated[
        Literal["fp32", "tf32", "bf16"],
        Parameter(help="Of training's products; tf32 needs an NVIDIA GPU, bf16 is slow on old CPUs."),
    ] = "fp32",
    split: Annotated[
        str, Parameter(help='Train on a part of the images, such as "correlated x y 0.2".')
    ] = "",
    checkpoint_every: Annotated[
        int | None,
        Parameter(help="Steps between checkpoints; 500, or 20,000 on a GPU.", validator=Number(gte=1)),
    ] = None,
    log: Annotated[
        list[str] | None,
        Parameter(help="Losses also to tensorboard or wandb; may be repeated.", negative=""),
    ] = None,
    out: Annotated[Path, Parameter(help="The run's folder is made in here, named by its key.")] = Path(
        "runs"
    ),
) -> None:
    """Train one model; the same command again goes on from its last checkpoint.

    Example: disentangle train --method beta_vae --set beta=4 --steps 2000 --batch 16 --lr 1e-3
    """
    import torch

    from disentangle import find, pictures
    from disentangle.commands import hyperparameters
    from disentangle.errors import convert
    from disentangle.finished import is_finished
    from disentangle.run import Run
    from disentangle.train import train as train_runs

    find.get("method", method)  # a wrong name is told before the data are loaded
    loaded = find.get("dataset", dataset).load(source)
    fields = {
        "method": method,
        "dataset": dataset,
        "source": loaded.source,
        "hyper": hyperparameters(set or []),
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "lr": lr,
        "precision": precision,
        "split": split,
    }
    run: Run = convert(fields, Run).complete()
    finished = is_finished(out / run.key())
    torch.set_num_threads(threads)
    print(f"{run.label()} on {dataset} ({loaded.source}), seed {seed}: {out / run.key()}")
    [trained] = train_runs(
        [run], loaded, out, device=device, checkpoint_every=checkpoint_every, loggers=log or ()
    )
    values = "  ".join(f"{k} {v:.2f}" for k, v in trained.values.items())
    again = "was finished before: " if finished else ""
    print(f"{again}{trained.status} at step {trained.step} after {trained.seconds:.0f} s: {values}")
    if trained.status == "diverged":
        raise SystemExit(1)
    placed = loaded.to(next(trained.model.parameters()).device)
    for name, draw in pictures.KINDS.items():
        draw(run, trained.model, placed, out / run.key() / name)
    print(f"next: disentangle score {out / run.key()}")


@app.command
def score(
    path: Path,
    /,
    *,
    metric: Annotated[
        list[str] | None,
        Parameter(help="Such as mig, sap@dlib; may be repeated; all if left out.", negative=""),
    ] = None,
    seed: Annotated[
        int | None,
        Parameter(help="Of the metrics' draws; a run's own if left out.", validator=Number(gte=0)),
    ] = None,
    rows: Annotated[
        int | None, Parameter(help="For a run: score on so many random images of the grid.")
    ] = None,
    repeats: Annotated[
        int, Parameter(help="Draw the points so often anew, and tell their spread.", validator=Number(gte=1))
    ] = 1,
    threads: Annotated[
        int | None, Parameter(help="Cores that a metric may use; all if left out.", validator=Number(gte=1))
    ] = None,
    device: Device = "auto",
    csv: Annotated[Path | None, Parameter(help="Also write the scores to this file.")] = None,
) -> None:
    """Score a trained run's folder, or an .npz with 'codes' (N, D) and 'factors' (N, F).

    Example: disentangle score codes.npz --metric mig --metric dci
    """
    from disentangle import find
    from disentangle.commands import codes_of, cores
    from disentangle.errors import InputError
    from disentangle.score import Score, parse_metric
    from disentangle.score import score as score_codes

    if csv is not None and csv.is_dir():
        raise InputError(f"--csv {csv} is a folder; expected the name of a file")
    metrics = metric or list(find.metrics_of_codes())
    for name in metrics:
        parse_metric(name)  # a wrong name is told before minutes of encoding
    codes, factors, run_seed = codes_of(path, rows, device)
    drawn = (run_seed or 0) if seed is None else seed
    found: list[Score] = []
    refused = False
    for name in metrics:  # one by one, for some take minutes
        try:
            some = score_codes(
                codes,
                factors,
                [name],
                seed=drawn,
                rows=rows,
                published_sizes=run_seed is not None,
                repeats=repeats,
                threads=threads or cores(),
            )
        except InputError as error:
            print(f"disentangle: {name}: {error}", file=sys.stderr)
            refused = True
            continue
        if not found:
            spread = " ± std   " if repeats > 1 else ""
            print(f"{'score':42} {'value':>8}{spread}  {'id':28} points")
        for s in some:
            std = "" if s.std is None else f" ± {s.std:.4f}"
            print(f"{s.name:42} {s.value:8.4f}{std}  {s.id:28} {s.points} ({s.seconds:.1f} s)", flush=True)
        found += some
    if csv is not None and found:
        from dataclasses import asdict

        import pandas as pd

        from disentangle.files import write_bytes

        frame = pd.DataFrame([asdict(s) for s in found]).drop(columns="matrices")
        write_bytes(csv, frame.to_csv(index=False).encode())
        print(f"written to {csv}")
    if refused:
        raise SystemExit(1)


@app.command
def udr(
    runs: Annotated[list[Path], Parameter(help="Folders of runs that differ in their seed only.")],
    /,
    *,
    rows: Annotated[
        int | None, Parameter(help="So many random images of the grid; 10,000 or all if left out.")
    ] = None,
    correlation: Annotated[Literal["lasso", "spearman"], Parameter(help="How codes are compared.")] = "lasso",
    device: Device = "auto",
) -> None:
    """Rank trained models of one setting without labels (UDR; Duan et al. 2020).

    Example: disentangle udr runs/3f2c runs/9ab1 runs/e07d
    """
    from disentangle.ranking import rank

    models, result, named = rank(runs, rows=rows, correlation=correlation, device=device)
    print(f"UDR of {models[0].run.label()}, {named}: each model's median over the others.")
    print(
        "1 (lasso: 0.9): the others found the same codes. 0: none in common, or no code carries information."
    )
    best = sorted(zip(result.model_scores, runs, models, strict=True), key=lambda line: -line[0])
    for value, folder, model in best:
        print(f"{value:8.4f}  seed {model.run.seed:<6} {folder}")


@app.command
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


@app.command
def status(folder: Path, /) -> None:
    """Say how far a study is: rows, what runs and where it is, what failed and why, time left.

    Example: disentangle status results/quick
    """
    from disentangle.status import describe
    from disentangle.status import status as look
    from disentangle.study import read_study, study_file

    print(describe(look(read_study(folder), study_file(folder).parent)))


@app.command
def table(
    folder: Path,
    /,
    *,
    select: Annotated[
        list[str] | None,
        Parameter(
            help="A selection rule, such as oracle:mig, udr, weak_reconstruction; may be repeated.",
            negative="",
        ),
    ] = None,
) -> None:
    """Write table.csv, summary.csv and table.md of a study's folder from its rows.

    Example: disentangle table results/quick --select oracle:mig
    """
    from disentangle.table import write_tables

    print(write_tables(folder, rules=select))


@app.command
def ladder(
    *,
    out: Annotated[Path, Parameter(help="Where the tables and the picture go.")] = Path("results/metrics"),
    metric: Annotated[
        list[str] | None,
        Parameter(help="May be repeated; all metrics if left out.", negative=""),
    ] = None,
    seed: Annotated[
        int, Parameter(help="Of the representations and the metrics' draws.", validator=Number(gte=0))
    ] = 0,
    repeats: Annotated[
        int, Parameter(help="Draws of each metric, but for those that take long.", validator=Number(gte=1))
    ] = 3,
) -> None:
    """Score representations of which all is known, so that one sees what each metric can tell.

    Example: disentangle ladder --out results/metrics
    """
    from disentangle.ladder_board import write_ladder
    from disentangle.ladder_scores import measure

    print("\n".join(write_ladder(out, measure(metric, seed=seed, repeats=repeats))))


@app.command
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


def main() -> None:
    """The console script: a user's mistake is one line and exit status 2, never a traceback."""
    from disentangle.errors import InputError
    from disentangle.stopping import Stopped, listen

    listen()
    try:
        app()
        sys.stdout.flush()
    except BrokenPipeError:  # what reads it, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (InputError, OSError) as error:
        print(f"disentangle: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped as stop:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        raise SystemExit(128 + stop.number) from None


if __name__ == "__main__":
    main()
