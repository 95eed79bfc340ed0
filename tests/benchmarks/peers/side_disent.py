"""disent as its README shows it: `side_disent.py its|protocol METHOD IMAGES BATCH`."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from typing import Any

import lightning
import numpy as np
from disent.dataset import DisentDataset
from disent.dataset.data import ArrayGroundTruthData
from disent.dataset.sampling import GroundTruthPairOrigSampler, SingleSampler
from disent.dataset.transform import ToImgTensorF32
from disent.frameworks.vae import AdaVae, BetaVae
from disent.model import AutoEncoder, DisentDecoder, DisentEncoder
from disent.model.ae import DecoderConv64, EncoderConv64
from network import BETA, LATENTS, LEARNING_RATE, decoder, encoder, mflop_per_image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from turns import Turns, versions

SHAPE = (1, 64, 64)


class ProtocolEncoder(DisentEncoder):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(x_shape=SHAPE, z_size=LATENTS, z_multiplier=2)
        self.model = encoder()

    def encode(self, x: Tensor) -> Tensor:
        return self.model(x)


class ProtocolDecoder(DisentDecoder):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(x_shape=SHAPE, z_size=LATENTS)
        self.model = decoder()

    def decode(self, z: Tensor) -> Tensor:
        return self.model(z)


def networks(which: str) -> tuple[Any, Any]:
    """Encoder and decoder: disent's own or the protocol's."""
    if which == "protocol":
        return ProtocolEncoder(), ProtocolDecoder()
    return (
        EncoderConv64(x_shape=SHAPE, z_size=LATENTS, z_multiplier=2),
        DecoderConv64(x_shape=SHAPE, z_size=LATENTS),
    )


def framework(method: str, model: AutoEncoder) -> Any:
    """Its objective with the study's choices: Bernoulli, pixels summed."""
    kind = BetaVae if method == "beta_vae" else AdaVae
    return kind(
        model=model,
        cfg=kind.cfg(
            optimizer="adam",
            optimizer_kwargs={"lr": LEARNING_RATE},
            recon_loss="bce",
            loss_reduction="mean_sum",
            beta=BETA[method],
        ),
    )


def batches(method: str, path: str, batch: int) -> DataLoader[Any]:
    """Its dataset over images in memory, 0 and 255 as in its own dSprites."""
    file = np.load(path)
    data = ArrayGroundTruthData(
        file["images"][..., None] * np.uint8(255),
        factor_names=tuple(str(name) for name in file["names"]),
        factor_sizes=tuple(int(size) for size in file["sizes"]),
    )
    sampler = SingleSampler() if method == "beta_vae" else GroundTruthPairOrigSampler(p_k=1)
    dataset = DisentDataset(dataset=data, sampler=sampler, transform=ToImgTensorF32())
    return DataLoader(dataset=dataset, batch_size=batch, shuffle=True, drop_last=True, num_workers=0)


class Wait(lightning.Callback):
    """Hands the turn back after the steps that were asked for."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def on_train_batch_end(self, trainer: Any, pl_module: nn.Module, outputs: Any, *_: Any) -> None:
        self.turns.stepped(outputs["loss"].item())


def main() -> None:
    which, method, path, batch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(0, verbose=False)
    encode, decode = networks(which)
    turns = Turns(
        {
            "network": "protocol" if which == "protocol" else "disent's",
            "versions": versions("disent", "lightning"),
            "mflop_per_image": mflop_per_image(encode.model, decode.model),
        }
    )
    trainer = lightning.Trainer(
        max_epochs=-1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Wait(turns)],
        default_root_dir=tempfile.gettempdir(),
    )  # fmt: skip
    trainer.fit(framework(method, AutoEncoder(encode, decode)), batches(method, path, batch))


if __name__ == "__main__":
    main()
