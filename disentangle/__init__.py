"""disentangle: data, weakly supervised pairs, models, metrics and leaderboards for disentanglement.

>>> from disentangle import mig
>>> import numpy as np
>>> factors = np.stack(np.unravel_index(np.arange(60), (3, 4, 5)), 1)
>>> round(float(mig(factors.astype(float), factors)), 6)
1.0
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

_here = Path(__file__).resolve().parent
if not (_here / "metrics").is_dir():  # a checkout: metrics/ and datasets/ lie beside the package
    __path__.append(str(_here.parent))

if TYPE_CHECKING:
    from disentangle.data import FactorData as FactorData
    from disentangle.errors import DataError as DataError
    from disentangle.errors import InputError as InputError
    from disentangle.finished import load as load
    from disentangle.losses import LikelihoodType as LikelihoodType
    from disentangle.losses import LossResult as LossResult
    from disentangle.metrics.beta_vae import beta_vae as beta_vae
    from disentangle.metrics.dci import dci as dci
    from disentangle.metrics.dci_es import dci_es as dci_es
    from disentangle.metrics.downstream import downstream as downstream
    from disentangle.metrics.explicitness import explicitness as explicitness
    from disentangle.metrics.factor_vae import factor_vae as factor_vae
    from disentangle.metrics.infomec import infomec as infomec
    from disentangle.metrics.irs import irs as irs
    from disentangle.metrics.mig import mig as mig
    from disentangle.metrics.mig_sup import mig_sup as mig_sup
    from disentangle.metrics.modularity import modularity as modularity
    from disentangle.metrics.sap import sap as sap
    from disentangle.metrics.udr import udr as udr
    from disentangle.metrics.unsupervised import unsupervised as unsupervised
    from disentangle.models.ada_gvae import AdaGVAE as AdaGVAE
    from disentangle.models.ada_gvae import AdaGVAEOutput as AdaGVAEOutput
    from disentangle.models.ae import AE as AE
    from disentangle.models.ae import AEOutput as AEOutput
    from disentangle.models.vae import VAE as VAE
    from disentangle.models.vae import VAEOutput as VAEOutput
    from disentangle.pairs import sample_pairs as sample_pairs
    from disentangle.run import Run as Run

# Where a public name lives. Metrics and models need no entry here to be found by the suite: this is
# only the short way to write them, imported when first used so that `import disentangle` is light.
_PLACES = {
    "FactorData": "data",
    "DataError": "errors",
    "InputError": "errors",
    "LikelihoodType": "losses",
    "LossResult": "losses",
    "AdaGVAE": "models.ada_gvae",
    "AdaGVAEOutput": "models.ada_gvae",
    "AE": "models.ae",
    "AEOutput": "models.ae",
    "VAE": "models.vae",
    "VAEOutput": "models.vae",
    "Run": "run",
    "load": "finished",
    "sample_pairs": "pairs",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"disentangle.{_PLACES[name]}"), name)
    # Any metric by its name: a new file in metrics/ is importable from here at once. Looked up by its
    # file, since this also runs for every `from disentangle import <submodule>`.
    if not name.startswith("_") and find_spec(f"disentangle.metrics.{name}") is not None:
        return import_module("disentangle.find").get("metric", name).function
    raise AttributeError(f"module 'disentangle' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *import_module("disentangle.find").names("metric")})
