"""What published tables call data sets, methods, metrics and hyperparameters, in this suite's names.

A name is compared by its letters and numbers alone, so that "beta-TCVAE", "β-TC-VAE" and our own
``beta_tc_vae`` are one: a method or data set that is added is known by its file's name.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import Literal

from disentangle import find

_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda"}
# Names that are not ours with other punctuation. Of two or more, the paper does not tell which.
_DATASETS = {
    "dspritesfull": ("dsprites",),
    "3dshapes": ("shapes3d",),
    "mpi3d": ("mpi3d_toy", "mpi3d_realistic", "mpi3d_real", "mpi3d_complex"),
}
_METHODS = {"dipvae": ("dip_vae_i", "dip_vae_ii"), "gvaelabels": ("gvae",), "mlvaelabels": ("ml_vae",)}
# Of each metric here, its scores and what they are called elsewhere.
_SCORES: dict[str, dict[str, tuple[str, ...]]] = {
    "mig": {"mig": ("MIG", "mutual information gap", "MIG-RMIG")},
    "mig_sup": {"mig_sup": ("MIG-sup",)},
    "beta_vae": {"beta_vae": ("BetaVAE score", "beta-VAE", "beta-VAE metric", "Z-diff")},
    "factor_vae": {"factor_vae": ("FactorVAE score", "FactorVAE", "FactorVAE metric", "Z-min Variance")},
    "sap": {"sap": ("SAP", "SAP score")},
    "dci": {
        "dci_disentanglement": ("DCI", "DCI-D", "DCI disentanglement"),
        "dci_completeness": ("DCI-C", "DCI completeness"),
        "dci_informativeness_test": ("DCI-I", "DCI informativeness", "DCI informativeness test"),
    },
    "dci_es": {"dci_es_explicitness": ("DCI-ES", "DCI-ES explicitness")},
    "modularity": {"modularity": ("Modularity", "Modularity score")},
    "explicitness": {"explicitness": ("Explicitness", "Explicitness score")},
    "irs": {"irs": ("IRS",)},
    "infomec": {
        "infomec_m": ("InfoM", "InfoMEC", "infomec_m"),
        "infomec_e": ("InfoE", "infomec_e"),
        "infomec_c": ("InfoC", "infomec_c"),
    },
    "udr": {"udr": ("UDR", "unsupervised disentanglement ranking")},
}
_CHOICES = ("udr", "modelcentrality")  # how a model was chosen, where it stands behind a method's name
_HYPER = {"c_fin": "c_max"}  # hyperparameters whose name is not ours
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", re.IGNORECASE)


def plain(name: str) -> str:
    """A name's letters and numbers, which are all that is compared.

    >>> plain("β-TC-VAE") == plain("beta_tc_vae")
    True
    """
    return re.sub(r"[^a-z0-9]", "", _latin(name))


def _latin(name: str) -> str:
    """Small letters, and Greek ones by their names."""
    for letter, word in _GREEK.items():
        name = name.replace(letter, word)
    return name.casefold()


def _of(kind: find.Kind, name: str, others: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    own = {plain(known): (known,) for known in find.names(kind)}
    return {**others, **own}.get(plain(name), ())


def datasets(name: str) -> tuple[str, ...]:
    """Our data sets that a name may mean; several where it does not tell which. One of no file is itself.

    >>> datasets("Shapes3D"), datasets("MPI3D-real"), datasets("Falcor3D")
    (('shapes3d',), ('mpi3d_real',), ('Falcor3D',))
    >>> len(datasets("MPI3D"))
    4
    """
    return _of("dataset", name, _DATASETS) or (name,)  # a user's own may have any name


def methods(name: str) -> tuple[tuple[str, ...], str]:
    """Our methods that a name may mean, none where the suite has none, and by what the model was chosen.

    >>> methods("AE + ICA"), methods("DIP-VAE")
    ((('ae_ica',), ''), (('dip_vae_i', 'dip_vae_ii'), ''))
    >>> methods("FactorVAE + UDR Lasso"), methods("InfoGAN")
    ((('factor_vae',), 'UDR Lasso'), ((), ''))
    """
    found = _of("method", name, _METHODS)
    first, plus, chosen = name.partition(" + ")
    if not found and plus and plain(chosen).startswith(_CHOICES):
        return _of("method", first, _METHODS), chosen
    return found, ""


def score(name: str) -> tuple[str, str]:
    """Our metric and its score that a name means; empty texts where the suite has none.

    >>> score("FactorVAE score"), score("DCI-C"), score("FID")
    (('factor_vae', 'factor_vae'), ('dci', 'dci_completeness'), ('', ''))
    >>> score("dci_informativeness_train")
    ('dci', 'dci_informativeness_train')
    """
    for metric, scores in _SCORES.items():
        for own, names in scores.items():
            if plain(name) in {plain(other) for other in (own, *names)}:
                return metric, own
    # A score of ours is called after its metric, such as downstream_1000.
    begins = [m for m in find.names("metric") if name == m or name.startswith(f"{m}_")]
    if not begins:
        return "", ""
    metric = max(begins, key=len)
    return metric, find.get("metric", metric).headline if name == metric else name


def near(name: str, known: Iterable[str]) -> str:
    """The known name that a misspelt one comes near to; empty where none does, or it is one of them.

    >>> near("dSprits", ["dsprites", "shapes3d"]), near("InfoGAN", ["vae"]), near("β-VAE", ["beta_vae"])
    ('dsprites', '', '')
    """
    names = {plain(other): other for other in known}
    found = difflib.get_close_matches(plain(name), names, n=1, cutoff=0.8)
    return names[found[0]] if found and plain(name) not in names else ""


def strange(kind: Literal["dataset", "method", "metric"], name: str, others: Iterable[str] = ()) -> str:
    """A name that the suite does not know, with the one that may be meant; empty where it knows it.

    Args:
        kind: of the name.
        name: as a file has it.
        others: known names beside the suite's.

    >>> strange("dataset", "dSprits"), strange("method", "InfoGAN"), strange("metric", "MIG")
    ('dSprits (dsprites?)', 'InfoGAN', '')
    """
    known = {*find.names(kind), *others}
    if kind == "dataset":
        known |= _DATASETS.keys()
    if kind == "method":
        known |= _METHODS.keys()
    if kind == "metric":
        known |= {
            other for scores in _SCORES.values() for own, told in scores.items() for other in (own, *told)
        }
    if plain(name) in map(plain, known):
        return ""
    meant = near(name, known)
    return f"{name} ({meant}?)" if meant else name


def setting(text: str) -> dict[str, str] | None:
    """Hyperparameters of a text such as ``"beta = 4, k=rnd"``; empty where it tells none, None if unreadable.

    What stands before a point in a name is left out, and capital and Greek letters are small Latin ones.

    >>> setting("vae.beta = 4; k=rnd"), setting("β=4"), setting("-"), setting("6 values x 50 seeds")
    ({'beta': '4', 'k': 'rnd'}, {'beta': '4'}, {}, None)
    """
    found: dict[str, str] = {}
    if text.strip() in ("", "-"):
        return found
    for part in re.split(r"[,;]", text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        name = _latin(name.rpartition(".")[2])
        name = _HYPER.get(name, name)
        if not equals or not name or not value or name in found:
            return None
        found[name] = value
    return found


def same(one: str, other: str) -> bool:
    """Whether two values written as text are equal, as numbers where they are numbers.

    >>> same("4", "4.0"), same("rnd", "Rnd"), same("4", "rnd")
    (True, True, False)
    """
    numbers = number(one), number(other)
    if not any(map(math.isnan, numbers)):
        return numbers[0] == numbers[1]
    return one.strip().casefold() == other.strip().casefold()


def number(text: str) -> float:
    """A text as a finite number; NaN where it is none, or only Python takes it for one, such as ``0_3``.

    >>> number(" 1e-3 "), number("0_3"), number("inf")
    (0.001, nan, nan)
    """
    found = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    return found if math.isfinite(found) else math.nan
