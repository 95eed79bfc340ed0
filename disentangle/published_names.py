"""What published tables call data sets, methods, metrics and hyperparameters, in this suite's names.

A name is compared by its letters and numbers alone, so that "beta-TCVAE", "β-TC-VAE" and our own
``beta_tc_vae`` are one: a method or data set that is added is known by its file's name.
"""

from __future__ import annotations

import re

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
}
_CHOICES = ("udr", "modelcentrality")  # how a model was chosen, where it stands behind a method's name
_HYPER = {"c_fin": "c_max"}  # hyperparameters whose name is not ours


def plain(name: str) -> str:
    """A name's letters and numbers, which are all that is compared.

    >>> plain("β-TC-VAE") == plain("beta_tc_vae")
    True
    """
    for letter, word in _GREEK.items():
        name = name.replace(letter, word)
    return re.sub(r"[^a-z0-9]", "", name.casefold())


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
    begins = [m for m in find.metrics_of_codes() if name == m or name.startswith(f"{m}_")]
    if not begins:
        return "", ""
    metric = max(begins, key=len)
    return metric, find.get("metric", metric).headline if name == metric else name


def setting(text: str) -> dict[str, str] | None:
    """Hyperparameters of a text such as ``"beta = 4, k=rnd"``; empty where it tells none, None if unreadable.

    What stands before a point in a name is left out: ``vae.beta=4`` is beta.

    >>> setting("vae.beta = 4; k=rnd"), setting("-"), setting("6 values x 50 seeds")
    ({'beta': '4', 'k': 'rnd'}, {}, None)
    """
    found: dict[str, str] = {}
    if text.strip() in ("", "-"):
        return found
    for part in re.split(r"[,;]", text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        name = name.rpartition(".")[2]
        name = _HYPER.get(name.casefold(), name)
        if not equals or not name or not value or name in found:
            return None
        found[name] = value
    return found


def same(one: str, other: str) -> bool:
    """Whether two values written as text are equal, as numbers where they are numbers.

    >>> same("4", "4.0"), same("rnd", "Rnd"), same("4", "rnd")
    (True, True, False)
    """
    try:
        return float(one) == float(other)
    except ValueError:
        return one.strip().casefold() == other.strip().casefold()
