"""Alike runs that train as one: one step computes the next step of each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from disentangle import find
from disentangle.batches import Batches
from disentangle.build import build_model
from disentangle.convolutions import Form, set_form
from disentangle.data import FactorData
from disentangle.errors import InputError
from disentangle.graph import StepGraph
from disentangle.memory import keep_freed_memory
from disentangle.optimiser import decays, groups
from disentangle.precision import check_precision, computing_in
from disentangle.run import Run
from disentangle.sampling import Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPAN = 50  # steps whose draws are made at once, and between reads of the losses
# Settings of methods on pairs that the trainer draws with; the loss must not read them.
DRAWING = ("k", "pairs")
FORMS: dict[str, Form] = {form: form for form in get_args(Form)} | {"grouped": "plain"}
State = dict[str, Any]  # of one run: its parameters and Adam's moments, as tensors on the CPU


def alike(run: Run) -> tuple[Any, ...]:
    """What the runs of a stack share: all but the seed, the settings of drawing and float hyperparameters."""
    own = DRAWING if find.get("method", run.method).pairs else ()
    hyper = {k: v for k, v in run.complete().hyper.items() if k not in own and not isinstance(v, float)}
    fields = tuple(v for k, v in msgspec.structs.asdict(run).items() if k not in ("hyper", "seed"))
    return (*fields, tuple(sorted(hyper.items())))


def stackable(model: nn.Module) -> bool:
    """Whether models like this can be stacked: all their state is parameters, none of them shared."""
    return list(model.state_dict()) == [name for name, _ in model.named_parameters()]


class _Loss(nn.Module):
    """One model's loss as a function of its parameters, for `torch.func.functional_call`."""

    def __init__(self, model: nn.Module, run: Run) -> None:
        super().__init__()
        self.model = model
        self.method, self.settings = find.get("method", run.method), run.settings()

    def forward(
        self, images: Tensor, noise: Tensor, floats: dict[str, Tensor], extra: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The objective and its diagnostics of images and noise ``(1 or 2, B, ...)``."""
        settings = msgspec.structs.replace(self.settings, **floats)
        pictures: Any = tuple(images)
        draws: Any = tuple(noise.unsqueeze(2))
        if not self.method.pairs:
            pictures, draws = pictures[0], draws[0]
        loss = self.method.loss(self.model, pictures, draws, settings, **extra)
        return {"objective": loss.objective, **loss.diagnostics}


class Stack:
    """Runs that differ in their seeds and float hyperparameters, and their optimiser, at one step.

    One run trains as it is. Several train under `torch.vmap`, their parameters stacked along a first axis;
    Adam is elementwise and takes the stack as it takes one model. Nothing in a step depends on the other
    members, so that one that diverges does not touch them. On a GPU the draws of a span of steps lie on the
    device, a step finds its own by a counter there, and is captured as a CUDA graph: inside a step the
    host neither waits nor copies.

    Args:
        runs: complete runs that are `alike`.
        data: their images, on the device.
        device: where to train.
        models: the runs' models, on the CPU, if they are not to begin as their seeds say.
        moments: Adam's state dicts, one per run, all after the same number of steps.
        step: that number.
        form: of the convolutions, see `disentangle.convolutions`; ``"grouped"`` is another word for
            ``"plain"``. If left out: ``"cpu"`` for one run on a CPU, ``"matmul"`` for a stack on a GPU,
            else ``"plain"``.
        graph: capture the step; on a GPU if left out.
        compiled: compile the loss by `torch.compile`, which needs a C++ compiler or Triton.

    Raises:
        InputError: the precision is not the device's, the form is unknown, or such models cannot be stacked.

    >>> data = find.get("dataset", "toy").load()
    >>> runs = [Run(method="beta_vae", dataset="toy", batch=4, seed=s).complete() for s in (0, 1)]
    >>> stack = Stack(runs, data, torch.device("cpu"))
    >>> stack.advance(2)
    >>> values = stack.read()
    >>> values["objective"].shape, stack.step
    ((2, 2), 2)
    """

    def __init__(
        self,
        runs: Sequence[Run],
        data: FactorData,
        device: torch.device,
        *,
        models: Sequence[nn.Module] | None = None,
        moments: Sequence[State | None] | None = None,
        step: int = 0,
        form: str | None = None,
        graph: bool | None = None,
        compiled: bool = False,
    ) -> None:
        self.runs, self.device, self.step = list(runs), device, step
        first = self.runs[0]
        self.data = data = data.with_split(first.split)
        check_precision(first.precision, device)
        keep_freed_memory()
        self.models = list(models) if models else [build_model(run, data) for run in self.runs]
        if len(self.runs) > 1 and not stackable(self.models[0]):
            raise InputError(f"{first.method}: a model with buffers or shared parameters trains alone")
        sampler = Sampler(data)
        self._batches = [Batches(run, data, sampler) for run in self.runs]
        self._loss = _Loss(self.models[0].to(device).train(), first)
        self._place()
        if moments is not None:
            self._load_moments([state for state in moments if state is not None])
        self.form = self._choose(form)
        self._compiled: Any = torch.compile(self._values) if compiled else None
        self._graph = StepGraph() if (device.type == "cuda" if graph is None else graph) else None
        self._buffers()
        self._ahead: tuple[int, int, dict[str, Tensor]] | None = None

    def _place(self) -> None:
        """Parameters, hyperparameters and the optimiser on the device, stacked if several."""
        first = self.runs[0]
        if len(self.runs) == 1:
            self.parameters: dict[str, Tensor] = dict(self._loss.named_parameters())
            self._floats: dict[str, Tensor] = {}
        else:
            each = [dict(model.named_parameters()) for model in self.models]
            self.parameters = {
                f"model.{name}": torch.stack(
                    [one[name].detach().to(self.device) for one in each]
                ).requires_grad_(each[0][name].requires_grad)
                for name in each[0]
            }
            floats = [name for name, value in first.complete().hyper.items() if isinstance(value, float)]
            self._floats = {
                name: torch.tensor([run.complete().hyper[name] for run in self.runs], device=self.device)
                for name in floats
            }
        self.optimiser = torch.optim.Adam(
            groups(self.parameters, self._loss.method),
            lr=first.lr,
            eps=1e-8,
            fused=True,
            capturable=self.device.type == "cuda",
        )
        decay = self._loss.method.decay
        own = self._floats.get(decay, getattr(self._loss.settings, decay, 0.0))
        self._shrink = decays(self.parameters, first.lr, own) if decay else []

    def _load_moments(self, members: list[State]) -> None:
        """Adam's state of the members as the stack's; the settings stay this stack's own."""
        own = self.optimiser.state_dict()
        one = len(self.runs) == 1
        own["state"] = {
            index: {
                name: value
                if one or name == "step"
                else torch.stack([m["state"][index][name] for m in members])
                for name, value in moments.items()
            }
            for index, moments in members[0]["state"].items()
        }
        self.optimiser.load_state_dict(own)

    def _choose(self, form: str | None) -> Form:
        if form is None:
            one, cpu = len(self.runs) == 1, self.device.type == "cpu"
            exact = self.runs[0].precision == "fp32"
            form = "cpu" if one and cpu and exact else "plain" if one or cpu else "matmul"
        if form not in FORMS:
            raise InputError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
        if form == "triton" and find_spec("triton") is None:
            raise InputError("form 'triton' needs the package triton, which torch brings where it has CUDA")
        set_form(self._loss, FORMS[form])
        return FORMS[form]

    def _buffers(self) -> None:
        """What a step reads and writes, at addresses that stay."""
        self._drawn: dict[str, Tensor] = {}  # made by the first draws
        self._cursor = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._at = torch.tensor(float(self.step), device=self.device)  # the step, for methods that need it
        self._names: list[str] = []
        self._found: Tensor | None = None
        self._done = 0

    def advance(self, steps: int) -> None:
        """Do so many steps; on a GPU they are under way when this returns.

        `read` gives their losses, the last `SPAN` at most.
        """
        while steps > 0:
            count = min(steps, SPAN)
            for name, drawn in self._next_draws(count).items():
                if name not in self._drawn:
                    shape = (SPAN, *drawn.shape[1:])
                    self._drawn[name] = torch.zeros(shape, dtype=drawn.dtype, device=self.device)
                self._drawn[name][:count].copy_(drawn, non_blocking=True)
            self._cursor.zero_()
            with computing_in(self.runs[0].precision, self.device), self._here():
                for _ in range(count):
                    if self._graph is None:
                        self._compute()
                    else:
                        self._graph.run(self._compute, self.optimiser)
            self._done, self.step, steps = count, self.step + count, steps - count

    def _here(self) -> contextlib.AbstractContextManager[None]:
        """Makes the stack's GPU the current one: Triton launches there, and so are graphs recorded."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else contextlib.nullcontext()

    def prepare(self, steps: int) -> None:
        """Make the next steps' draws now, while the device is still busy with the last."""
        if steps > 0:
            self._ahead = (self.step, min(steps, SPAN), self._draw(min(steps, SPAN)))

    def _next_draws(self, count: int) -> dict[str, Tensor]:
        ready, self._ahead = self._ahead, None
        if ready is not None and ready[:2] == (self.step, count):
            return ready[2]
        return self._draw(count)

    def _draw(self, count: int) -> dict[str, Tensor]:
        """What the members draw in the next steps, each ``(steps, 1 or 2, n, B, ...)``."""
        spans = [batches.span(self.step, self.step + count) for batches in self._batches]
        drawn = {
            name: torch.from_numpy(np.stack([span[name] for span in spans], axis=2)) for name in spans[0]
        }
        if self.device.type == "cuda":
            return {name: part.pin_memory() for name, part in drawn.items()}
        return drawn

    def _compute(self) -> None:
        own = {name: drawn.index_select(0, self._cursor)[0] for name, drawn in self._drawn.items()}
        index, noise = own.pop("index"), own.pop("noise")
        keys = own.pop("keys").flatten() if "keys" in own else None
        images = self.data.images(index.flatten(), keys)
        images = images.view(*index.shape, *images.shape[1:])
        extra = {name: drawn[0] for name, drawn in own.items()}
        self.optimiser.zero_grad(set_to_none=True)
        values = (self._compiled or self._values)(images, noise, extra)
        values["objective"].sum().backward()
        with torch.no_grad():
            for parameter, factor in self._shrink:
                parameter.mul_(factor)
        self.optimiser.step()
        if self._found is None:
            self._names = list(values)
            shape = (SPAN, len(self._names), len(self.runs))
            self._found = torch.zeros(shape, dtype=torch.float32, device=self.device)
        row = torch.stack([value.detach().float().reshape(-1) for value in values.values()])
        self._found.index_copy_(0, self._cursor, row.unsqueeze(0))
        self._cursor += 1
        self._at += 1

    def _values(self, images: Tensor, noise: Tensor, extra: dict[str, Tensor]) -> dict[str, Tensor]:
        """The objectives and diagnostics of the members, each ``(n,)``, from ``(1 or 2, n, B, ...)``.

        ``extra`` has what else the method needs, each ``(n, B, ...)``.
        """
        step = {"step": self._at} if "step" in self._loss.method.needs else {}
        if len(self.runs) == 1:
            alone = {name: drawn[0] for name, drawn in extra.items()}
            found: dict[str, Tensor] = self._loss(images[:, 0], noise[:, 0], {}, {**alone, **step})
            return found

        def one(
            parameters: dict[str, Tensor],
            images: Tensor,
            noise: Tensor,
            floats: dict[str, Tensor],
            extra: dict[str, Tensor],
        ) -> Any:
            given = (images, noise, floats, {**extra, **step})
            return torch.func.functional_call(self._loss, parameters, given)

        stacked: dict[str, Tensor] = torch.vmap(one, in_dims=(0, 1, 1, 0, 0))(
            self.parameters, images, noise, self._floats, extra
        )
        return stacked

    def read(self) -> dict[str, NDArray[np.float32]]:
        """The objective and diagnostics of the last steps, each ``(steps, runs)``; waits for them."""
        if self._found is None:
            return {}
        table = self._found[: self._done].cpu().numpy()
        return {name: table[:, i] for i, name in enumerate(self._names)}

    def weights(self, member: int) -> dict[str, Tensor]:
        """A member's parameters, as its model's state dict has them."""
        own = self.models[member].state_dict()
        if len(self.runs) == 1:
            return own
        return {name: self.parameters[f"model.{name}"].detach()[member] for name in own}

    def state(self, member: int) -> State:
        """A member's parameters and Adam's moments, as a run that trains alone would have them."""
        saved = self.optimiser.state_dict()
        if len(self.runs) > 1:
            moments = {
                index: {k: v if k == "step" else v[member] for k, v in of.items()}
                for index, of in saved["state"].items()
            }
            saved = {**saved, "state": moments}
        copied: State = _copied({"model": self.weights(member), "optimiser": saved})
        return copied

    def finish(self, member: int) -> nn.Module:
        """A member's model with its weights of now, in evaluation mode and in torch's own convolutions."""
        model = self.models[member]
        if len(self.runs) > 1:
            model.load_state_dict(self.weights(member))
        set_form(model, "plain")
        model.zero_grad(set_to_none=True)  # of a run alone: as large as the model, and a graph's memory
        return model.to(self.device).eval()


def _copied(tree: Any) -> Any:
    """A tree's tensors copied to the CPU: a slice would be saved with all that it is a slice of."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {k: _copied(v) for k, v in tree.items()}
    return [_copied(v) for v in tree] if isinstance(tree, list) else tree
