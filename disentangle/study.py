"""A study: one TOML file that says which runs, on which data, with which metrics."""

from __future__ import annotations

import itertools
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from disentangle import find
from disentangle.calibrate import NAMES, Calibration
from disentangle.errors import InputError, convert, unknown
from disentangle.ranking import Ranking
from disentangle.rules import LESS, Rule, parse_rule
from disentangle.run import Hyper, Precision, Run
from disentangle.score import metric_id, parse_metric

Task = Run | Calibration | Ranking
Positive = Annotated[int, msgspec.Meta(ge=1)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One block of runs; every list is one axis of a grid.

    Attributes:
        dataset: a data set's name, or several.
        method: a method's name, or several.
        hyper: hyperparameters, each a value or a list of values.
        seeds, steps, batch, lr, latents, precision: instead of the study's.
        split: the same, or a list, which is an axis of the grid.
    """

    dataset: str | list[str]
    method: str | list[str]
    hyper: dict[str, Hyper | list[Hyper]] = {}
    seeds: list[Annotated[int, msgspec.Meta(ge=0)]] | None = None
    steps: Annotated[int, msgspec.Meta(ge=0)] | None = None
    batch: Positive | None = None
    lr: Rate | None = None
    latents: Positive | None = None
    precision: Precision | None = None
    split: str | list[str] | None = None


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a study file says; see the README for an example.

    Attributes:
        name: stands in every row.
        runs: blocks of runs.
        description: for people.
        seeds: of every block that has none of its own.
        steps, batch, lr, latents: the protocol's, unless said otherwise.
        precision: the arithmetic of training, ``"fp32"``, ``"tf32"`` or ``"bf16"``.
        split: which images training shows; see `disentangle.splits`.
        source: ``"official"``, ``"drawn"``, ``"user"``, or ``"auto"``: official where the file is found, and
            user for a user's own images.
        metrics: names such as ``"mig"`` or ``"sap@dlib"``, or tables with a name and options; all metrics
            of one representation where not given.
        rows: score on so many random images of the grid instead of all of them.
        repeats: how often each metric draws its points anew; scores are means over these draws.
        calibration: which calibration representations are scored beside the runs.
        selection: rules that choose settings, each with a table of its own beside the leaderboard of all
            settings: see `disentangle.rules`. ``"udr"`` and ``"weak_reconstruction"`` have what they need
            computed for every run.
        fixed: for the rule ``"fixed"``, the hyperparameters of each method.
        pictures: the seeds whose runs and calibration get pictures; all if left out. They are most of what
            a study of thousands of runs leaves on the disk.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    runs: Annotated[list[Grid], msgspec.Meta(min_length=1)]
    description: str = ""
    seeds: list[Annotated[int, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=lambda: [0])
    steps: Annotated[int, msgspec.Meta(ge=0)] = 300_000
    batch: Positive = 64
    lr: Rate = 1e-4
    latents: Positive = 10
    precision: Precision = "fp32"
    split: str = ""
    source: Literal["auto", "official", "drawn", "user"] = "auto"
    metrics: list[str | dict[str, Any]] | None = None
    rows: Annotated[int, msgspec.Meta(ge=2)] | None = None
    repeats: Positive = 1
    calibration: list[str] = msgspec.field(default_factory=lambda: list(NAMES))
    selection: list[str] = []
    fixed: dict[str, dict[str, Hyper]] = {}
    pictures: list[Annotated[int, msgspec.Meta(ge=0)]] | None = None

    def shows(self, task: Run | Calibration) -> bool:
        """Whether pictures are drawn of a task."""
        return self.pictures is None or task.seed in self.pictures

    def metric_specs(self) -> list[str | dict[str, Any]]:
        """The metrics to score with."""
        return list(find.metrics_of_codes()) if self.metrics is None else list(self.metrics)

    def metric_ids(self) -> list[str]:
        """The ids that a complete row holds, in order."""
        return [metric_id(spec, self.rows, repeats=self.repeats) for spec in self.metric_specs()]

    def rules(self) -> list[Rule]:
        """The selection rules."""
        return [parse_rule(text, self.fixed) for text in self.selection]

    def compares(self) -> bool:
        """Whether the models of each setting are compared by UDR."""
        return any(rule.criterion == "udr" for rule in self.rules())


def named(task: Task) -> str:
    """A task for people: what, on which data set, with which seed.

    >>> named(Run(method="beta_vae", dataset="toy", hyper={"beta": 4}, seed=2))
    'beta_vae beta=4 on toy, seed 2'
    """
    return f"{task.label()} on {task.dataset}, seed {task.seed}"


def read_study(path: str | Path, data: bool = True) -> Study:
    """Read and check a study file; a folder stands for the ``study.toml`` in it.

    Args:
        path: the file or folder.
        data: whether its data sets must be there; without them tables can still be made of rows.

    Raises:
        InputError: the file is missing, is no TOML, or says something unknown, of the wrong type,
            empty or twice; the message names the file and the field. Whether its data sets have a split's
            factors and values, or can give a k, is seen when it is carried out.
    """
    path = study_file(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; expected a study file, or the folder that holds one"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from None
    try:
        study: Study = convert(content, Study)
        for name in datasets(study) if data else ():
            find.get("dataset", name)
        plan(study, dict.fromkeys(datasets(study), "drawn"))  # finds every further mistake now
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return study


def study_file(path: str | Path) -> Path:
    """The study file that a path names: itself, or the ``study.toml`` in a folder."""
    path = Path(path)
    return path / "study.toml" if path.is_dir() else path


def resolve_sources(study: Study) -> dict[str, str]:
    """Which source each data set of the study is taken from: ``"official"``, ``"drawn"`` or ``"user"``.

    Raises:
        InputError: a user's own images are to be official or drawn, or their file is damaged.
    """
    asked, suite = study.source, find.names("dataset")
    return {
        name: find.get("dataset", name).load(asked).source if asked == "auto" or name not in suite else asked
        for name in datasets(study)
    }


def plan(study: Study, sources: dict[str, str]) -> list[Task]:
    """Everything the study asks for, in order: the runs, then the calibration of each data set.

    Raises:
        InputError: unknown names or settings, an empty grid, or the same run twice.
    """
    runs = [run for block in study.runs for run in _expand(block, study, sources)]
    for run, count in Counter(runs_by_key := [r.key() for r in runs]).items():
        if count > 1:
            twice = runs[runs_by_key.index(run)]
            raise InputError(
                f"the run {twice.label()!r} on {twice.dataset}, seed {twice.seed}, is there {count} times"
            )
    for what, found in (("calibration", study.calibration), ("metric", study.metric_ids())):
        name, count = (Counter(found).most_common(1) or [("", 0)])[0]
        if count > 1:
            raise InputError(f"the {what} {name!r} is there {count} times")
    for name in study.calibration:
        if name not in NAMES:
            raise InputError(f"calibration must be of {', '.join(NAMES)}, got {name!r}")
    _check_rules(study, runs)
    if not study.metric_specs():
        raise InputError("metrics is an empty list; leave it out for all metrics")
    calibration = [
        Calibration(name=name, dataset=dataset, source=sources[dataset], latents=study.latents)  # type: ignore[arg-type]
        for dataset in sources
        for name in study.calibration
    ]
    return [*runs, *calibration]


def _check_rules(study: Study, runs: list[Run]) -> None:
    """Refuse selection rules that could choose nothing when all is done."""
    known = {find.get("metric", parse_metric(spec)[0]).headline for spec in study.metric_specs()}
    begins = tuple(f"{parse_metric(spec)[0]}_" for spec in study.metric_specs())
    for rule in study.rules():
        score = rule.criterion or ""
        if rule.name == "fixed":
            _check_fixed(study, runs, dict(rule.fixed))
        elif score in LESS or rule.criterion is None:
            continue
        elif rule.metric_id is not None and rule.metric_id not in study.metric_ids():
            raise unknown("metric id in selection", rule.metric_id, study.metric_ids())
        elif score not in known and not score.startswith(begins):
            raise unknown("score in selection", score, known)


def _check_fixed(study: Study, runs: list[Run], fixed: dict[str, str]) -> None:
    for method in dict.fromkeys(run.method for run in runs):
        here = list(dict.fromkeys(run.setting() for run in runs if run.method == method))
        if method not in fixed and len(here) > 1:
            raise InputError(
                f"the rule 'fixed' needs a setting of {method} in fixed; it has {'; '.join(here)}"
            )
        if method in fixed and fixed[method] not in here:
            raise InputError(f"fixed.{method} is {fixed[method]!r}, which no run has: {'; '.join(here)}")


def rankings(study: Study, runs: Sequence[Run]) -> list[Task]:
    """The comparisons by UDR that a study asks for: of each setting with two trained runs or more.

    Args:
        study: the study.
        runs: its runs that are trained and did not diverge.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs if study.compares() else ():
        if find.get("method", run.method).posterior is not None:
            groups.setdefault(Ranking(runs=(run,)).key(), []).append(run)
    return [Ranking(runs=tuple(group)) for group in groups.values() if len(group) > 1]


def _expand(block: Grid, study: Study, sources: dict[str, str]) -> Iterator[Run]:
    seeds = study.seeds if block.seeds is None else block.seeds
    axes = {"dataset": _list(block.dataset), "method": _list(block.method), "seeds": seeds}
    axes["split"] = _list(_first(block.split, study.split))
    axes |= {f"hyper.{name}": _list(values) for name, values in block.hyper.items()}
    for axis, values in axes.items():
        if not values:
            raise InputError(f"runs: {axis} is an empty list, so the block has no runs")
    shared = {
        name: _first(getattr(block, name), getattr(study, name))
        for name in ("steps", "batch", "lr", "latents", "precision")
    }
    for dataset, method, split, *hyper, seed in itertools.product(
        axes["dataset"],
        axes["method"],
        axes["split"],
        *(axes[f"hyper.{name}"] for name in block.hyper),
        seeds,
    ):
        chosen = dict(zip(block.hyper, hyper, strict=True))
        content = {
            "method": method,
            "dataset": dataset,
            "source": sources[dataset],
            "hyper": chosen,
            "seed": seed,
            "split": split,
        }
        run: Run = convert({**content, **shared}, Run)
        yield run.complete()


def datasets(study: Study) -> list[str]:
    """The names of the study's data sets, each once, in order."""
    return list(dict.fromkeys(name for block in study.runs for name in _list(block.dataset)))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _first(own: Any, shared: Any) -> Any:
    return shared if own is None else own
