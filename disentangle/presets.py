"""The published studies by name: their data sets, methods, settings and seeds as a `Study`.

``locatello2019``: all of it is read from the index of the study's 12,600 models, see `INDEX`.

``locatello2020``: the released code has no list of its models, and the paper's own lists of data sets and
seeds could not be read for this suite. Sourced: a fixed k of 1 to F - 1 or a random one (section 5 of the
paper, as quoted in the pair sampler of github:nmichlo/disent); beta 1, 2, 4, 6, 8, 16 with ten seeds
and this protocol for Ada-GVAE at k = 1 on 3DShapes (configuration `correlated_factors_study_ws_id2` of
Träuble et al. 2021, arXiv 2006.07886, in github:muhammadyaseen/disentanglement_lib@e7a20e59: another study
with an author in common); ten seeds on Cars3D, 3DShapes and dSprites (replication grid of Roth et al. 2023,
github:facebookresearch/disentangling-correlated-factors@3b0d233a, with betas 2, 4, 6, 8, 10, 16).
Our choice: these data sets, betas and ten seeds for all four methods, of all k only 1 and ``"rnd"``, and
pairs as the paper has them instead of the released code.

``hsu2023``: QLAE. Sourced: github:kylehkhsu/latent_quantization@9a420a33, ``configs/train_ae.yaml`` (steps,
batch, learning rate, 10 values a latent) and ``configs/params/quantized_ae`` (weight decay); twice as many
latents as factors from ``train_ae.yaml@0f809994``; MPI3D with 4 colours and shapes, which is `mpi3d_complex`
here, from ``mpi3d_dataset_builder.py@e6236d27``. Our choice: five seeds, and the suite's smaller networks.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from disentangle import find
from disentangle.errors import InputError, convert, unknown
from disentangle.run import Hyper, Run
from disentangle.study import Grid, Study
from disentangle.toml import lines

INDEX = Path(__file__).parent / "published" / "locatello2019_model_index.csv"
PROTOCOL = {"steps": 300_000, "batch": 64, "lr": 1e-4, "latents": 10}
ANY_SEED, MOST_SEEDS = range(2**63), 100_000
_OURS = {"dsprites_full": "dsprites"}  # data sets whose name in the index is not ours


@dataclass(frozen=True)
class _Published:
    paper: str
    note: str  # stands in the head of the study file
    datasets: list[str]
    sweeps: dict[str, dict[str, list[Hyper]]]  # of each method, the values of each hyperparameter
    seeds: range
    allowed: range  # the seeds that may be asked for instead
    protocol: dict[str, Any] = field(default_factory=lambda: dict(PROTOCOL))
    own: dict[str, dict[str, Any]] = field(default_factory=dict)  # what a data set has otherwise
    metrics: list[str | dict[str, Any]] | None = None


def preset(
    name: str,
    *,
    datasets: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    steps: int | None = None,
    source: str = "auto",
) -> Study:
    """A published study, or a part of it, with the published protocol; one block of runs per method.

    Args:
        name: one of `NAMES`; the module's text says where each comes from.
        datasets, methods: keep only these, in the study's order; all where not given.
        seeds: instead of the study's; for ``locatello2019`` of 0 to 49, as no others have a model number.
        steps: instead of the study's.
        source: of the images, ``"auto"``, ``"official"`` or ``"drawn"``.

    Raises:
        InputError: a name is not in the preset, a seed out of range or there twice, a list empty, or `steps`
            or `source` wrong.

    >>> study = preset("locatello2019", datasets=["dsprites", "shapes3d"], methods=["beta_vae"])
    >>> study.steps, len(study.seeds), study.runs[0].hyper
    (300000, 50, {'beta': [1.0, 2.0, 4.0, 6.0, 8.0, 16.0]})
    """
    published = _published(name)
    kept = _restrict(name, {"dataset": datasets, "method": methods})
    content = {
        "name": name,
        "description": f"Runs of the study of {published.paper}.",
        "seeds": _checked(list(published.seeds if seeds is None else seeds), published.allowed, name),
        **published.protocol,
        "source": source,
        "metrics": published.metrics,
        "runs": [block for method in kept["method"] for block in _blocks(published, method, kept["dataset"])],
    }
    study: Study = convert(content if steps is None else {**content, "steps": steps}, Study)
    return study


def _blocks(published: _Published, method: str, datasets: list[str]) -> list[dict[str, Any]]:
    """The blocks of a method: one, or one for each data set that has settings of its own."""
    hyper = published.sweeps[method]
    if not published.own:
        return [{"dataset": datasets, "method": method, "hyper": hyper}]
    own = {name: dict(published.own.get(name, {})) for name in datasets}
    return [
        {"dataset": [name], "method": method, "hyper": {**hyper, **rest.pop("hyper", {})}, **rest}
        for name, rest in own.items()
    ]


def parse_seeds(text: str) -> list[int]:
    """Seeds from numbers and ranges with both ends, separated by commas, in the order written.

    Raises:
        InputError: nothing is there, something is neither a seed of 0 to 2**63 - 1 nor a rising range of
            such, a seed is there twice, or they are more than 100,000.

    >>> parse_seeds("0,3,7-9")
    [0, 3, 7, 8, 9]
    """
    if not text.strip():
        raise InputError(f"seeds is {text!r}: expected numbers and ranges, such as 0-4 or 0,3,7-9")
    seeds: list[int] = []
    for item in map(str.strip, text.split(",")):
        found = re.fullmatch(r"([0-9]{1,19})(?:\s*-\s*([0-9]{1,19}))?", item)
        if not found:
            raise InputError(
                f"seeds: {item!r} is no whole number from 0, such as 3, and no range, such as 0-4"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise InputError(f"seeds: the range {item!r} falls: expected {last}-{first}")
        if len(seeds) + last - first + 1 > MOST_SEEDS:
            raise InputError(f"seeds: with {item!r} they are more than {MOST_SEEDS:,}, the most there may be")
        seeds += range(first, last + 1)
    return _checked(seeds, ANY_SEED)


def model_number(run: Run) -> int | None:
    """The number, 0 to 12,599, of the 2019 study's model that a run is the counterpart of.

    None where there is no such model: another protocol, method, data set, value or seed, a hyperparameter
    beside the swept one that is not the default, a split, one's own images, or a method this version lacks.
    Drawn images, another precision and FactorVAE's count of updates do have a counterpart; the run itself
    says that they differ.

    Raises:
        InputError: the run's hyperparameters are not the method's.

    >>> model_number(Run(method="beta_vae", dataset="dsprites", hyper={"beta": 4}, seed=7))
    107
    """
    sweep = _published("locatello2019").sweeps.get(run.method)
    same_protocol = all(getattr(run, field) == value for field, value in PROTOCOL.items())
    other = run.source == "user" or run.split or run.method not in find.names("method")
    if sweep is None or not same_protocol or other:
        return None
    [swept] = sweep
    settings = run.settings()
    value = msgspec.to_builtins(settings).get(swept)
    number = published_number(run.dataset, run.method, value, run.seed)
    if number is None:
        return None
    # The swept value alone leaves the defaults everywhere else.
    counted = {name: value for name, value in run.hyper.items() if name == "updates"}
    alone = msgspec.structs.replace(run, hyper={swept: value, **counted})
    return number if alone.settings() == settings else None


def published_number(dataset: str, method: str, value: float, seed: int) -> int | None:
    """The number of a 2019 model, in this suite's names: dataset * 1800 + method * 300 + setting * 50 + seed.

    Data set, method and setting count from 0 in the index's order. None where the study has no such model.

    >>> published_number("dsprites", "annealed_vae", 5, 0), published_number("dsprites", "vae", 1, 0)
    (1500, None)
    """
    _, numbers = _index().get((dataset, method, value), ("", range(0)))
    return numbers[seed] if 0 <= seed < len(numbers) else None


def to_toml(study: Study, *, preset: str | None, command: str = "") -> str:
    """A study file that `disentangle.study.read_study` reads back as an equal study.

    Its head names the source of the preset (one of `NAMES`, or None) and the command that made it.

    Raises:
        InputError: the preset is unknown, or an option is of a type that a study file cannot hold.

    >>> study = preset("locatello2019", datasets=["dsprites"], methods=["beta_vae"], seeds=[0, 1])
    >>> print(to_toml(study, preset=None, command="disentangle preset").splitlines()[0])
    # Made by: disentangle preset
    """
    head = [] if preset is None else [_published(preset).paper, _published(preset).note]
    head += [f"Made by: {command}"] if command else []
    # TOML allows no control characters in a comment, and a line break would end it.
    comments = ["# " + "".join(char if char.isprintable() else " " for char in line) for line in head]
    top = lines(study, Study(name="", runs=[]), ("name", "description", "seeds", *PROTOCOL, "source"))
    blank = Grid(dataset="", method="")
    blocks = [line for block in study.runs for line in ("", "[[runs]]", *lines(block, blank))]
    return "\n".join([*comments, *top, *blocks, ""])


@cache
def _index() -> dict[tuple[str, str, float], tuple[str, range]]:
    """Of each data set, method and value: the swept hyperparameter, and the models' numbers by seed."""
    with INDEX.open(newline="", encoding="utf-8") as file:
        return {
            (_OURS.get(row["dataset"], row["dataset"]), row["method"], float(row["value"])): (
                row["hyperparameter"].rpartition(".")[2],
                range(int(row["first_model_num"]), int(row["last_model_num"]) + 1),
            )
            for row in csv.DictReader(file)
        }


def _locatello2019() -> _Published:
    sweeps: dict[str, dict[str, list[Hyper]]] = {}
    for (_, method, value), (hyper, numbers) in _index().items():
        values = sweeps.setdefault(method, {}).setdefault(hyper, [])
        values += [] if value in values else [value]
        seeds = range(len(numbers))  # the same on every line
    return _Published(
        paper="Locatello et al. 2019, arXiv 1811.12359",
        note="Settings and seeds are those of the study's 12,600 models. Its FactorVAEs had half as many "
        'updates as steps, which is hyper = { updates = "dlib" }.',
        datasets=list(dict.fromkeys(dataset for dataset, *_ in _index())),
        sweeps=sweeps,
        seeds=seeds,
        allowed=seeds,
    )


def _locatello2020() -> _Published:
    methods = "ada_gvae", "ada_ml_vae", "gvae", "ml_vae"
    return _Published(
        paper="Locatello et al. 2020, arXiv 2002.02886",
        note="Data sets, seeds and the choice of k are not the paper's own list: see disentangle.presets.",
        datasets=["dsprites", "shapes3d", "cars3d"],
        sweeps={method: {"beta": [1.0, 2.0, 4.0, 6.0, 8.0, 16.0], "k": [1, "rnd"]} for method in methods},
        seeds=range(10),
        allowed=ANY_SEED,
    )


def _hsu2023() -> _Published:
    # Its codes are discrete, and its authors score them so.
    metrics: list[str | dict[str, Any]] = [name for name in find.metrics_of_codes() if name != "infomec"]
    return _Published(
        paper="Hsu et al. 2023, arXiv 2305.18378",
        note="The networks are smaller than the authors', and the seeds are ours: see disentangle.presets.",
        datasets=["shapes3d", "mpi3d_complex"],
        sweeps={"qlae": {"values": [10]}},
        seeds=range(5),
        allowed=ANY_SEED,
        protocol={"steps": 200_000, "batch": 128, "lr": 1e-3, "latents": 12},
        own={
            "shapes3d": {"hyper": {"weight_decay": [0.1]}},
            "mpi3d_complex": {"hyper": {"weight_decay": [0.001]}, "latents": 14},
        },
        metrics=[*metrics, {"name": "infomec", "latents": "discrete"}],
    )


_PRESETS = {"locatello2019": _locatello2019, "locatello2020": _locatello2020, "hsu2023": _hsu2023}
NAMES = tuple(_PRESETS)


@cache
def _published(name: str) -> _Published:
    if name not in _PRESETS:
        raise unknown("preset", name, NAMES)
    return _PRESETS[name]()


def _restrict(preset: str, wanted: dict[find.Kind, Iterable[str] | None]) -> dict[find.Kind, list[str]]:
    """The data sets and methods that are wanted, checked to be in the preset, in its order."""
    published = _published(preset)
    whole: dict[find.Kind, list[str]] = {"dataset": published.datasets, "method": list(published.sweeps)}
    kept = {}
    for kind, known in whole.items():
        named = wanted[kind]
        chosen = [named] if isinstance(named, str) else list(known if named is None else named)
        for name in chosen:
            if name not in known:
                raise unknown(f"{kind} of {preset}", name, known)
        if not chosen:
            raise InputError(f"the list of {kind}s is empty; leave it out for all of the preset {preset!r}")
        kept[kind] = [name for name in known if name in chosen]
    return kept


def _checked(seeds: list[int], allowed: range, preset: str = "") -> list[int]:
    met: set[int] = set()
    for seed in convert(seeds, list[int], "seeds"):
        if seed not in allowed:
            whose = f", the seeds of the preset {preset!r}" if preset else ""
            raise InputError(f"seeds: {seed} is out of range: expected 0 to {allowed[-1]}{whose}")
        if seed in met:
            raise InputError(f"seeds: {seed} is there more than once")
        met.add(seed)
    if not seeds:
        raise InputError(f"seeds is an empty list; leave it out for all of the preset {preset!r}")
    return seeds
