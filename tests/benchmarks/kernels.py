"""The convolutions of a stack, layer by layer: every form's time on a GPU; or what the kernels compile to.

By hand, from the repository root:

    python tests/benchmarks/kernels.py --members 64 --csv results/performance/layers.csv
    python tests/benchmarks/kernels.py --compile        needs Triton, and no GPU

A line of the first is one layer of the papers' network, forward and backward, of so many models at once:
milliseconds by the device's events, median (least to most) of rounds in which all forms take turns; the
largest relative difference of output and gradients to torch's in double precision; and the floor, the larger
of what its operations take at the measured rate of a matrix product and what its activations and their
gradients, read and written as seldom as can be, take at the measured rate of a copy.

A line of the second is a kernel as a step of 64 models launches it, compiled for a GPU of some compute
capability: a thread's registers, a block's bytes of shared memory, a thread's bytes that no register held.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from peers import floor
from torch import Tensor, nn

from disentangle import nets
from disentangle.convolutions import Conv2d, ConvTranspose2d, Form, set_form
from disentangle.precision import computing_in
from disentangle.provenance import hardware

FORMS: dict[str, Form] = {"grouped": "plain", "matmul": "matmul", "triton": "triton"}
# How often a layer must read or write its input, and its output: the input is read forward and for the
# weights' gradient, its own gradient written; the output is written, its gradient read twice, its sign once.
PASSES = (3, 4)
SIDES = {"enc": 64, "dec": 4}


def layers() -> Iterator[tuple[str, nn.Sequential, tuple[int, int, int]]]:
    """Every convolution of the network with its rectifier, its name and the shape of its input."""
    for part, network in (("enc", nets.encoder(1)), ("dec", nets.decoder(1))):
        side, found, modules = SIDES[part], 0, list(network)
        for layer, after in zip(modules, [*modules[1:], None], strict=True):
            if isinstance(layer, Conv2d | ConvTranspose2d):
                found += 1
                together = nn.Sequential(layer, *([after] if isinstance(after, nn.ReLU) else []))
                yield f"{part}{found}", together, (layer.in_channels, side, side)
                side = side * 2 if isinstance(layer, ConvTranspose2d) else side // 2


class Stacked:
    """One layer of many models: what it computes in a form."""

    def __init__(self, layer: nn.Sequential, shape: tuple[int, ...], given: argparse.Namespace, device: str):
        self.layer, size = layer, (given.members, given.batch, *shape)
        own = dict(layer.named_parameters())
        self.weights = {
            name: (torch.randn(given.members, *p.shape, device=device) / p[0].numel() ** 0.5).requires_grad_()
            for name, p in own.items()
        }
        self.x = torch.randn(size, device=device)
        self.x = self.x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)  # channels last
        self.x.requires_grad_(shape[0] > 1)  # the images need none
        self.grad: Tensor | None = None

    def run(self, dtype: torch.dtype | None = None) -> list[Tensor]:
        """Output and gradients."""

        def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            found: Tensor = torch.func.functional_call(self.layer, weights, x)
            return found

        weights = {k: w if dtype is None else w.to(dtype) for k, w in self.weights.items()}
        x = self.x if dtype is None else self.x.to(dtype)
        y = torch.vmap(one)(weights, x)
        if self.grad is None:
            self.grad = torch.randn_like(y)
        wanted = [*weights.values(), *([x] if self.x.requires_grad else [])]
        return [y, *torch.autograd.grad(y, wanted, self.grad.to(y.dtype))]


def measure(given: argparse.Namespace) -> pd.DataFrame:
    """A line per layer and precision."""
    device, found = torch.device("cuda"), []
    here = {"hardware": hardware("cuda"), "torch": torch.__version__}
    copy = floor.copy_rate(device, 4096, best_of=5)
    for precision in given.precisions.split(","):
        rate = floor.matrix_rate(device, precision, 8192, best_of=5)
        for name, layer, shape in layers():
            stacked = Stacked(layer.to(device), shape, given, "cuda")
            set_form(layer, "plain")
            exact = [t.float() for t in stacked.run(torch.float64)] if given.check else []
            times: dict[str, list[float]] = {form: [] for form in given.forms.split(",")}
            errors, problems = dict[str, float](), dict[str, str]()
            with computing_in(precision, device):  # type: ignore[arg-type]
                for turn in range(given.rounds + 1):
                    for form, kept in times.items():
                        if form in problems:
                            continue
                        set_form(layer, FORMS[form])
                        try:
                            outcome = stacked.run()
                            if turn == 0:
                                differences = [far(a, b) for a, b in zip(outcome, exact, strict=False)]
                                errors[form] = max(differences, default=float("nan"))
                            else:
                                kept.append(milliseconds(stacked.run))
                        except RuntimeError as error:
                            problems[form] = f"{type(error).__name__}: {error}".splitlines()[0]
                        outcome = []
            found += [
                {
                    "layer": name, "precision": precision, "members": given.members, "batch": given.batch,
                    "form": form, **told(kept), "error": errors.get(form, float("nan")),
                    "floor_ms": 1e3 * lowest(layer[0], shape, given, rate, copy, precision),
                    "status": problems.get(form, "done"), **here,
                }
                for form, kept in times.items()
            ]  # fmt: skip
            save(pd.DataFrame(found), given)  # a command that is cut short loses nothing
    return pd.DataFrame(found)


def save(frame: pd.DataFrame, given: argparse.Namespace) -> None:
    if given.csv:
        given.csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(given.csv, index=False, float_format="%.6g")


def far(a: Tensor, b: Tensor) -> float:
    return float(((a.float() - b).norm() / b.norm()).detach())


def told(times: list[float]) -> dict[str, float]:
    if not times:
        return {}
    return {"ms": statistics.median(times), "least": min(times), "most": max(times)}


def milliseconds(work: Any, repeats: int = 5) -> float:
    """Of one, by the device's clock."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / repeats


def lowest(
    layer: Any,
    shape: tuple[int, int, int],
    given: argparse.Namespace,
    rate: float,
    copy: float,
    precision: str,
) -> float:
    """Seconds that the layer cannot do without."""
    images = given.members * given.batch
    wide = isinstance(layer, ConvTranspose2d)
    out = shape[1] * 2 if wide else shape[1] // 2
    taps = layer.kernel_size[0] ** 2 * layer.in_channels * layer.out_channels
    products = 2 * taps * (shape[1] if wide else out) ** 2 * images
    passes = 3 if shape[0] > 1 else 2  # forward, by the weights, by the input
    values = PASSES[0] * layer.in_channels * shape[1] ** 2 + PASSES[1] * layer.out_channels * out**2
    moved = values * images * (2 if precision == "bf16" else 4)
    return max(passes * products / rate, moved / copy)


class Recorder:
    """Stands in for a kernel and keeps what it is launched with."""

    def __init__(self, kernel: Any, launches: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> None:
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args, **constants: self.launches.append((self.kernel, args, constants))


def launched(precision: str, given: argparse.Namespace) -> Iterator[tuple[str, Any, Any, Any]]:
    """Every launch of forward and backward, on a device that has shapes but no numbers."""
    from disentangle import kernels

    launches: list[Any] = []
    whole = {name: getattr(kernels, name) for name in ("_convolve", "_spread", "_correlate")}
    for name, kernel in whole.items():
        setattr(kernels, name, Recorder(kernel, launches))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        for name, layer, shape in layers():
            set_form(layer, "triton")
            stacked = Stacked(layer.to("meta"), shape, given, "meta")
            if precision == "bf16":
                stacked.x = stacked.x.bfloat16().detach().requires_grad_(stacked.x.requires_grad)
            launches.clear()
            stacked.run()
            passes = ["forward", "by input", "by weight"] if len(launches) == 3 else ["forward", "by weight"]
            for of, (kernel, args, constants) in zip(passes, launches, strict=True):
                yield f"{name} {of}", kernel, args, constants
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
        for name, kernel in whole.items():
            setattr(kernels, name, kernel)


TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}


def compiled(kernel: Any, args: Any, constants: Any, capability: int) -> dict[str, Any]:
    """What the kernel becomes on such a GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature, attributes = dict[str, str](), dict[tuple[int], Any]()
    for i, (name, value) in enumerate(zip(kernel.arg_names, args, strict=False)):
        signature[name] = TYPES[value.dtype] if isinstance(value, Tensor) else "i32"
        if isinstance(value, Tensor) or value % 16 == 0:  # as Triton finds out by itself at a launch
            attributes[(i,)] = [["tt.divisibility", 16]]
    fixed = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, signature, fixed, attributes)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    return {**resources(made.asm["cubin"]), "shared": made.metadata.shared}


def resources(binary: bytes) -> dict[str, int]:
    """Registers and spilled bytes, by the tool that Triton brings along."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [str(tool), "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found, text
    return {"registers": int(found[1]), "spilled": int(found[2])}


def compile_all(given: argparse.Namespace) -> pd.DataFrame:
    found = []
    for precision in given.precisions.split(","):
        for name, kernel, args, constants in launched(precision, given):
            about = compiled(kernel, args, constants, given.capability)
            gpu = f"cuda:{given.capability}"
            found.append({"kernel": name, "precision": precision, "gpu": gpu, **about})
    return pd.DataFrame(found)[["kernel", "precision", "gpu", "registers", "shared", "spilled"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precisions", default="fp32,tf32,bf16")
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-check", dest="check", action="store_false", help="without double precision")
    parser.add_argument("--compile", action="store_true", help="only compile, without a GPU")
    parser.add_argument("--capability", type=int, default=90, help="to compile for: 80, 90 ...")
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    frame = compile_all(given) if given.compile else measure(given)
    print(frame.drop(columns=["hardware", "torch"], errors="ignore").round(5).to_string(index=False))
    save(frame, given)


if __name__ == "__main__":
    main()
