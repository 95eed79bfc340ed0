"""Find methods, data sets, metrics and engines: the file name is the key, there is nothing to register.

`disentangle/models/vae.py` is the method `vae`, `datasets/dsprites.py` the data set `dsprites`,
`metrics/mig.py` the metric `mig`, `disentangle/engines/slurm.py` the engine `slurm`. Each such file ends
with one descriptor: `METHOD`, `DATASET`, `METRIC` or `ENGINE`. A helper file's name begins with an
underscore; it is not listed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, overload

from disentangle.errors import InputError, unknown

if TYPE_CHECKING:
    import msgspec
    from torch import Tensor, nn

    from disentangle.data import FactorData
    from disentangle.losses import LossResult
    from disentangle.run import Run

Kind = Literal["method", "dataset", "metric", "engine"]
PACKAGES: dict[str, str] = {
    "method": "disentangle.models",
    "dataset": "disentangle.datasets",
    "metric": "disentangle.metrics",
    "engine": "disentangle.engines",
}


@dataclass(frozen=True)
class Method:
    """What the trainer needs to know of a method; the objective itself is the model's.

    Attributes:
        title: the name in tables, such as ``"beta-VAE"``.
        paper: the source, such as ``"Higgins et al. 2017"``.
        settings: a frozen `msgspec.Struct` with the hyperparameters, their types and defaults.
        build: ``(encoder, decoder, latents, settings) -> model``.
        loss: ``(model, images, noise, settings) -> LossResult``; ``images`` is a batch
            ``(B, C, H, W)`` or, where `pairs`, a tuple of two; ``noise`` is ``(B, 1, latents)``,
            or a tuple of two. On a GPU runs train in stacks, where a setting that is a float comes as a
            tensor of no axes: the loss computes with it, and neither branches on it nor draws from torch.
            It does not read `k` and `pairs`, and `build` reads no float; the trainer draws with the former.
        represent: ``(model, images) -> codes (B, latents)``, the representation to be scored.
        decode: ``(model, codes (B, latents)) -> images in [0, 1]``, for pictures.
        pairs: whether a batch is weakly supervised pairs.
        posterior: ``(model, images) -> (mu, log_var)``, each (B, latents); None where the method has
            no Gaussian posterior.
        needs: what else `loss` takes, as keywords: ``"step"``, the updates done before this one, a float
            tensor of no axes; ``"label"``, int64 (B,), the last changed factor of each pair;
            ``"shuffle"``, int64 (B, latents), for each latent an order of the batch.
        adam: options of Adam for parameters whose names begin so, such as
            ``{"discriminator.": {"betas": (0.5, 0.9)}}``.
        decay: the float setting, if there is one, that is the decoupled decay of the weights: before each
            update each parameter whose name ends with ``weight`` is multiplied by 1 - lr * decay.
        updates: ``(steps, settings) -> updates``, where they are not the same number.
        fit: ``(model, data, run)``, called when training has ended; sets parameters that training leaves
            alone from all images, from the run's seed alone.
    """

    title: str
    paper: str
    settings: type[msgspec.Struct]
    build: Callable[[nn.Module, nn.Module, int, Any], nn.Module]
    loss: Callable[..., LossResult]
    represent: Callable[[Any, Tensor], Tensor]
    decode: Callable[[Any, Tensor], Tensor]
    pairs: bool = False
    posterior: Callable[[Any, Tensor], tuple[Tensor, Tensor]] | None = None
    needs: tuple[Literal["step", "label", "shuffle"], ...] = ()
    adam: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    decay: str = ""
    updates: Callable[[int, Any], int] | None = None
    fit: Callable[[Any, FactorData, Run], None] | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set: where it comes from and how to load it.

    Attributes:
        title: the name in tables.
        paper: the source.
        load: ``(source, path) -> FactorData`` with ``source`` one of ``"auto"``, ``"official"``,
            ``"drawn"``, ``"user"`` and ``path`` the official file if the user named one.
        download: ``() -> path`` of the official file; asked for by the user only.
        address: of the official repository or files.
        licence: of that repository, by its SPDX name; empty where none is known.
    """

    title: str
    paper: str
    load: Callable[..., FactorData]
    download: Callable[[], Any] | None = None
    address: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Metric:
    """A metric: its function, its id, and the sizes the studies published it with.

    Attributes:
        id: estimator and version, such as ``"mig@1"``; stands in every row.
        title: one line for people.
        paper: the source.
        function: ``(codes, factors, *, rng, **options) -> result`` with ``float(result)`` its
            headline and ``result.scores()`` a dict of everything that gets a row of its own.
        published: the options (such as the number of points) of the published protocol.
        headline: the key of ``result.scores()`` that a leaderboard shows.
        modes: what ``mode=`` takes beside ``"default"``: ``"dlib"`` gives the reference library's
            numbers, ``"dlib2019"`` those it gave with the scikit-learn of its time. Each mode has an
            id of its own, such as ``"beta_vae@dlib"``.
        of_models: whether it compares several models of one setting, instead of codes with factors;
            its function takes a list of codes.
        lower_is_better: of the headline.
        matrices: which fields of the result are matrices (D, F) of codes and factors that a study keeps, and
            their units, such as ``{"mutual_information": "nats"}``.
        units: of the scores that are no fractions, such as ``{"irs_active_codes": "codes"}``.
    """

    id: str
    title: str
    paper: str
    function: Callable[..., Any]
    published: Mapping[str, Any] = field(default_factory=dict)
    headline: str = ""
    modes: tuple[str, ...] = ()
    of_models: bool = False
    lower_is_better: bool = False
    matrices: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def defaults(self) -> dict[str, Any]:
        """The options that a call without them takes."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except ValueError:  # a function of C has none to show
            return {}
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    def usual(self) -> dict[str, Any]:
        """The options of the published protocol, and the defaults of those that it does not name."""
        return {**self.defaults(), **self.published}

    def named(self, options: Mapping[str, Any], usual: Mapping[str, Any] | None = None) -> str:
        """The id, with every option that departs from the published protocol (or `usual`) spelled out.

        >>> Metric("mig@1", "", "", max, {"points": 10_000}).named({"points": 500})
        'mig@1[points=500]'
        >>> Metric("beta_vae@1", "", "", max, modes=("dlib",)).named({"mode": "dlib"})
        'beta_vae@dlib'
        """
        mode = options.get("mode", "default")
        stem = self.id if mode == "default" else f"{self.id.partition('@')[0]}@{mode}"
        usual = self.usual() if usual is None else usual
        same = {k for k, v in options.items() if usual.get(k) == (tuple(v) if isinstance(v, list) else v)}
        own = {k: v for k, v in sorted(options.items()) if k not in {"mode", *same}}
        return stem + (f"[{','.join(f'{k}={v}' for k, v in own.items())}]" if own else "")


@dataclass(frozen=True)
class Engine:
    """Where the tasks of a study are done.

    Attributes:
        title: one line for people.
        settings: a frozen `msgspec.Struct` of what can be set with ``--option NAME=VALUE``.
        cut: ``(work, tasks, settings) -> chunks``: how tasks are handed out, each chunk a list.
        run: ``(work, queue, workers, settings, show) -> outcomes``: takes chunks from the left of the deque
            ``queue`` and yields an `Outcome` for every task in them; what has to be tried again is put back
            into the queue by the caller, one task a chunk. ``workers`` is how many chunks are done at once at
            most; ``show`` is called now and then with the keys of the tasks under way. A process or
            machine that dies is an outcome to be tried again, never an exception. A task may be done
            twice: rows and checkpoints are whole files, and the same each time.
    """

    title: str
    settings: type[msgspec.Struct]
    cut: Callable[..., Any]
    run: Callable[..., Any]


def metrics_of_codes() -> tuple[str, ...]:
    """The metrics that score one representation: all but those that compare several models.

    >>> "mig" in metrics_of_codes(), "udr" in metrics_of_codes()
    (True, False)
    """
    return tuple(name for name in names("metric") if not get("metric", name).of_models)


@cache
def names(kind: Kind) -> tuple[str, ...]:
    """The names that exist, sorted. Nothing is imported for it.

    >>> "mig" in names("metric")
    True
    """
    spec = importlib.util.find_spec(PACKAGES[kind])
    places = spec.submodule_search_locations if spec is not None else None
    found = (info.name for info in pkgutil.iter_modules(places))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def own_names() -> tuple[str, ...]:
    """The names of the user's own data sets, files in the data folder; see `disentangle.own_data`."""
    from disentangle import own_files

    return own_files.names()


@overload
def get(kind: Literal["method"], name: str) -> Method: ...
@overload
def get(kind: Literal["dataset"], name: str) -> Dataset: ...
@overload
def get(kind: Literal["metric"], name: str) -> Metric: ...
@overload
def get(kind: Literal["engine"], name: str) -> Engine: ...
def get(kind: Kind, name: str) -> Any:
    """The descriptor of a method, data set, metric or engine.

    A data set may also be the user's own, `own_names`.

    Raises:
        InputError: no file has that name; the message gives the nearest ones.

    >>> get("metric", "mig").id
    'mig@1'
    """
    if name not in names(kind):
        if kind == "dataset":
            from disentangle import own_files

            return own_files.dataset(name)
        raise unknown(kind, name, names(kind))
    found = getattr(importlib.import_module(f"{PACKAGES[kind]}.{name}"), kind.upper(), None)
    expected = {"method": Method, "dataset": Dataset, "metric": Metric, "engine": Engine}[kind]
    if not isinstance(found, expected):
        raise InputError(
            f"{PACKAGES[kind]}.{name} must end with {kind.upper()} = {expected.__name__}(...), "
            f"found {type(found).__name__}; a helper file's name begins with an underscore"
        )
    return found
