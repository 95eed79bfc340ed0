"""The commands of single models: train, score, udr."""

from __future__ import annotations

# torch and scikit-learn are imported inside the commands, so that --help answers at once.
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from disentangle.cli_options import Device, Source


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
