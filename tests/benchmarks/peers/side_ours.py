"""Ours: a stack of one run on the CPU: `side_ours.py fp32|bf16 METHOD IMAGES BATCH` (IMAGES is not used)."""

from __future__ import annotations

import sys

import torch
from network import BETA, decoder, encoder, mflop_per_image
from turns import Turns, versions

from disentangle.datasets import dsprites
from disentangle.run import Run
from disentangle.stack import Stack


def main() -> None:
    precision, method, batch = sys.argv[1], sys.argv[2], int(sys.argv[4])
    run = Run(
        method=method, dataset="dsprites", batch=batch, hyper={"beta": BETA[method]}, precision=precision
    )
    stack = Stack([run.complete()], dsprites.load("drawn"), torch.device("cpu"))
    turns = Turns(
        {
            "network": "protocol",
            "versions": versions(),
            "mflop_per_image": mflop_per_image(encoder(), decoder()),
        }
    )

    def advance(steps: int) -> float:
        stack.advance(steps)
        return float(stack.read()["objective"][-1, 0])

    turns.serve(advance)


if __name__ == "__main__":
    main()
