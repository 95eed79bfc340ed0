"""What Adam is told of a method's parameters, of one run or stacked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from disentangle.find import Method

OWN = "model."  # begins the parameters' names in a stack, and not in the method's model


def groups(parameters: Mapping[str, Tensor], method: Method) -> list[dict[str, Any]]:
    """The parameters in their order, with the options of Adam that the method has for some of them.

    Args:
        parameters: by name, in the order in which Adam is to count them.
        method: see `disentangle.find.Method.adam`.
    """
    found, last = list[dict[str, Any]](), None
    for name, parameter in parameters.items():
        own = name.removeprefix(OWN)
        prefix = next((prefix for prefix in method.adam if own.startswith(prefix)), "")
        if prefix != last:  # a new group, so that Adam counts the parameters as the model does
            found.append({"params": [], **method.adam.get(prefix, {})})
            last = prefix
        found[-1]["params"].append(parameter)
    return found


def decays(
    parameters: Mapping[str, Tensor], lr: float, decay: float | Tensor
) -> list[tuple[Tensor, float | Tensor]]:
    """The weights that are multiplied before each update, and by what: 1 - lr * decay.

    Args:
        parameters: by name; those that are trained and whose names end with ``weight`` decay.
        lr: the learning rate.
        decay: one number, or of a stack the members' ``(n,)``.
    """
    trained = [p for name, p in parameters.items() if p.requires_grad and name.endswith("weight")]
    factor = 1 - lr * decay
    if not isinstance(factor, Tensor):
        return [(p, factor) for p in trained]
    return [(p, factor.view(-1, *[1] * (p.dim() - 1))) for p in trained]
