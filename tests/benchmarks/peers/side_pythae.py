"""pythae's BetaVAE and BaseTrainer, protocol network: `side_pythae.py protocol METHOD IMAGES BATCH`.

Standard error should go nowhere: its trainer always shows a progress bar.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import numpy as np
import torch
from network import BETA, LATENTS, LEARNING_RATE, decoder, encoder, mflop_per_image
from pythae.data.datasets import BaseDataset
from pythae.models import BetaVAE, BetaVAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor
from turns import Turns, versions


class ProtocolEncoder(BaseEncoder):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.model = encoder()

    def forward(self, x: Tensor) -> ModelOutput:
        mu, log_var = self.model(x).chunk(2, dim=1)
        return ModelOutput(embedding=mu, log_covariance=log_var)


class ProtocolDecoder(BaseDecoder):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.model = decoder()

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.model(z)))


class Wait(TrainingCallback):  # type: ignore[misc]
    """Hands the turn back after the steps that were asked for; the trainer reads its loss itself."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def on_train_step_end(self, training_config: Any, **_: Any) -> None:
        self.turns.stepped()


def main() -> None:
    method, file, batch = sys.argv[2], np.load(sys.argv[3]), int(sys.argv[4])
    encode, decode = ProtocolEncoder(), ProtocolDecoder()
    turns = Turns(
        {
            "network": "protocol",
            "versions": versions("pythae"),
            "mflop_per_image": mflop_per_image(encode.model, decode.model),
        }
    )
    images = torch.from_numpy(file["images"]).unsqueeze(1)
    config = BetaVAEConfig(
        input_dim=(1, 64, 64), latent_dim=LATENTS, beta=BETA[method], reconstruction_loss="bce"
    )
    trainer = BaseTrainer(
        model=BetaVAE(config, encode, decode),
        train_dataset=BaseDataset(images, torch.zeros(len(images))),
        training_config=BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(), num_epochs=10**9, learning_rate=LEARNING_RATE,
            per_device_train_batch_size=batch, train_dataloader_num_workers=0, optimizer_cls="Adam",
            no_cuda=True,
        ),
        callbacks=[Wait(turns)],
    )  # fmt: skip
    trainer.train()


if __name__ == "__main__":
    main()
