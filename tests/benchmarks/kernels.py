"""The convolutions of a stack, layer by layer: every form's time on a GPU; or what the kernels compile to.

By hand, from the repository root:

    python tests/benchmarks/kernels.py --members 64 --csv results/performance/layers.csv
    python tests/benchmarks/kernels.py --compile        needs Triton, and no GPU

A line of the first is one layer of the papers' network, forward and backward, of so many models at once:
milliseconds of a recorded graph by the device's events, median (least to most) of rounds in which all forms
take turns; the largest relative difference of output and gradients to torch's in double precision; and the
floor, the larger of what its operations take at the measured rate of a matrix product and what activations
and gradients, read and written as seldom as can be, take at the measured rate of a copy.

A line of the second is a kernel as a step of 64 models launches it, compiled for a GPU of some compute
capability: a thread's registers, a block's bytes of shared memory, a thread's bytes that no register held.
"""

from __future__ import annotations

import argparse
import copy
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
from tables import reason, save
from torch import Tensor, nn

from disentangle import nets
from disentangle.convolutions import Conv2d, ConvTranspose2d, Form, set_form
from disentangle.graph import WARM, StepGraph
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
    """One layer of many models: what it computes in a form, for a gradient in the order that the form has."""

    def __init__(self, layer: nn.Sequential, shape: tuple[int, ...], given: argparse.Namespace, device: str):
        self.layer, n = layer, given.members
        self.weights = {
            name: (torch.randn(n, *p.shape, device=device) / p[0].numel() ** 0.5).requires_grad_()
            for name, p in layer.named_parameters()
        }
        x = torch.randn(n, given.batch, *shape[1:], shape[0], device=device)
        self.x = x.permute(0, 1, 4, 2, 3).requires_grad_(shape[0] > 1)  # channels last; images need none
        self.grad: Tensor | None = None

    def to(self, dtype: torch.dtype) -> Stacked:
        """The same with input and gradient, and in double precision the weights, of a type."""
        other = copy.copy(self)
        other.x = self.x.detach().to(dtype).requires_grad_(self.x.requires_grad)
        if dtype == torch.float64:
            other.weights = {k: w.detach().double().requires_grad_() for k, w in self.weights.items()}
        return other

    def forward(self) -> Tensor:
        def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            found: Tensor = torch.func.functional_call(self.layer, weights, x)
            return found

        y: Tensor = torch.vmap(one)(self.weights, self.x)
        return y

    def prepare(self, gradient: Tensor) -> None:
        """Lay the gradient out as the output is."""
        y = self.forward()
        self.grad = torch.empty_like(y).copy_(gradient)

    def run(self) -> list[Tensor]:
        """Output and gradients."""
        y = self.forward()
        wanted = [*self.weights.values(), *([self.x] if self.x.requires_grad else [])]
        return [y, *torch.autograd.grad(y, wanted, self.grad)]


def measure(given: argparse.Namespace) -> pd.DataFrame:
    """A line per layer and precision."""
    device, found = torch.device("cuda"), []
    here = {"hardware": hardware("cuda"), "torch": torch.__version__}
    copied = floor.copy_rate(device, 4096, best_of=5)
    for precision in given.precisions.split(","):
        rate = floor.matrix_rate(device, precision, 8192, best_of=5)
        for name, layer, shape in layers():
            stacked = Stacked(layer.to(device), shape, given, "cuda")
            forms = {form: Timed(form, stacked, precision, given) for form in given.forms.split(",")}
            for _ in range(given.rounds):
                for timed in forms.values():
                    timed.turn()
            least = 1e3 * lowest(layer[0], shape, given, rate, copied, precision)
            known = {"layer": name, "precision": precision, "members": given.members, "batch": given.batch}
            found += [{**known, **timed.told(), "floor_ms": least, **here} for timed in forms.values()]
            save(pd.DataFrame(found), given.csv)  # a command that is cut short loses nothing
    return pd.DataFrame(found)


class Timed:
    """A layer in one form: a recorded graph of forward and backward, and how long it takes on the device."""

    def __init__(self, form: str, stacked: Stacked, precision: str, given: argparse.Namespace) -> None:
        self.form, self.problem, self.times, self.error = form, "", list[float](), float("nan")
        try:
            set_form(stacked.layer, FORMS[form])
            with computing_in(precision, torch.device("cuda")):  # type: ignore[arg-type]
                own = stacked.to(torch.bfloat16 if precision == "bf16" else torch.float32)
                torch.manual_seed(0)
                gradient = torch.randn(own.forward().shape, device="cuda")
                own.prepare(gradient)
                # As a graph: eager, Python would take longer to start it than the device to do it.
                self.own, self.graph = own, StepGraph()
                for _ in range(WARM + 1):
                    self.step()
            if given.check:
                self.error = difference(stacked, gradient, self.outcome)
        except Exception as error:  # Triton's have no common parent with torch's
            self.problem = reason(error)

    def step(self) -> None:
        """Forward and backward; recorded, what it keeps is where the graph writes."""

        def compute() -> None:
            self.outcome = self.own.run()

        self.graph.run(compute)

    def turn(self, repeats: int = 5) -> None:
        if self.problem:
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(repeats):
            self.step()
        end.record()
        end.synchronize()
        self.times.append(float(begin.elapsed_time(end)) / repeats)

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = {"form": self.form, "status": self.problem or "done", "error": self.error}
        if self.times:
            found |= {"ms": statistics.median(self.times), "least": min(self.times), "most": max(self.times)}
        return found


def difference(stacked: Stacked, gradient: Tensor, outcome: list[Tensor]) -> float:
    """The largest relative one to the same in double precision, of output and gradients."""
    form = next(m.form for m in stacked.layer if isinstance(m, Conv2d | ConvTranspose2d))
    set_form(stacked.layer, "plain")
    try:
        exact = stacked.to(torch.float64)
        exact.prepare(gradient.double())
        return max(far(a, b) for a, b in zip(outcome, exact.run(), strict=True))
    finally:
        set_form(stacked.layer, form)


def far(a: Tensor, b: Tensor) -> float:
    return float(((a.double() - b).norm() / b.norm()).detach())


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
            own = stacked.to(torch.bfloat16 if precision == "bf16" else torch.float32)
            own.prepare(own.forward().detach())
            launches.clear()
            own.run()
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
    save(frame, given.csv)


if __name__ == "__main__":
    main()
