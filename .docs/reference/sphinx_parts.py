"""What Sphinx is taught: formulas without scripts, signatures as they are written, links by class name."""

from __future__ import annotations

import enum
import inspect
import re
from typing import Any

import msgspec
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

from reference import settings

LOG = logging.getLogger(__name__)


def inline_math(writer: Any, node: nodes.math) -> None:
    """A formula in a line, as MathML, which browsers draw themselves."""
    _math(writer, node, as_block=False)


def block_math(writer: Any, node: nodes.math_block) -> None:
    """A formula of its own."""
    _math(writer, node, as_block=True)


def _math(writer: Any, node: nodes.Element, as_block: bool) -> None:
    try:
        writer.body.append(drawable(tex2mathml(readable(node.astext()), as_block=as_block)))
    except MathError as error:
        LOG.warning("formula %r: %s", node.astext(), error, location=node)
    raise nodes.SkipNode


def drawable(drawn: str) -> str:
    """MathML that looks right without a font for formulas, too: room after "log", and accents above letters.

    >>> drawable('<mover accent="true"> <mi>x</mi> <mo stretchy="false">\u02c6</mo> </mover>')
    '<mi style="font-style: italic">x\u0302</mi>'
    """
    apply = "<mo>&ApplyFunction;</mo>"
    drawn = drawn.replace(apply, f'{apply}<mspace width="0.17em"></mspace>')
    accented = (
        r'<mover accent="true">\s*<mi>(\w)</mi>\s*<mo stretchy="false">([\u02c6\u02c9\u02dc])</mo>\s*</mover>'
    )
    combining = {"\u02c6": "\u0302", "\u02c9": "\u0304", "\u02dc": "\u0303"}
    return re.sub(accented, lambda m: f'<mi style="font-style: italic">{m[1]}{combining[m[2]]}</mi>', drawn)


def readable(formula: str) -> str:
    r"""A formula as docutils reads it: large brackets say on which side they stand, fractions have braces.

    Without braces it takes the 12 of ``\\tfrac12`` for the numerator, and what follows for the denominator.

    >>> readable(r"\big( x \bigg]")
    '\\bigl( x \\biggr]'
    >>> readable(r"\tfrac12\sum_d")
    '\\tfrac{1}{2}\\sum_d'
    """
    formula = re.sub(r"\\([dt]?frac)\s*(\w)\s*(\w)", r"\\\1{\2}{\3}", formula)
    opens = r"[(\[]|\\\{|\\langle"
    formula = re.sub(rf"\\(big|Big|bigg|Bigg)(?=\s*(?:{opens}))", r"\\\1l", formula)
    return re.sub(r"\\(big|Big|bigg|Bigg)(?![A-Za-z])", r"\\\1r", formula)


def signature(
    app: Any, what: str, name: str, obj: Any, options: Any, given: str | None, returns: str | None
) -> tuple[str, str] | None:
    """A function's signature with its types as the code has them: ``ArrayLike``, not what that stands for."""
    if _is_struct(obj) or (isinstance(obj, type) and issubclass(obj, enum.Enum)):
        return "", ""  # a struct's fields are a table, see `fields`; an enum is called with a value
    try:
        found = inspect.signature(obj)
    except (TypeError, ValueError):
        return None
    parameters = list(found.parameters.values())
    if what == "method" and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    if what == "class":
        found = found.replace(return_annotation=inspect.Signature.empty)
    result = found.return_annotation
    shown = "(" + ", ".join(map(_parameter, parameters)) + ")"
    return shown, "" if result is inspect.Signature.empty else _type(result)


def _type(annotation: Any) -> str:
    """A type's text; of one in a helper module, `_points.Rng`, only its own name."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b_\w+\.(?=\w)", "", text)


def _parameter(parameter: inspect.Parameter) -> str:
    if parameter.annotation is inspect.Parameter.empty:
        return str(parameter)
    name, equals, _ = str(parameter.replace(annotation=inspect.Parameter.empty)).partition("=")
    return f"{name}: {_type(parameter.annotation)}" + (f" = {_default(parameter.default)}" if equals else "")


def _default(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    shown = repr(value)
    return "..." if shown.startswith("<") else shown


def _is_struct(obj: Any) -> bool:
    return isinstance(obj, type) and issubclass(obj, msgspec.Struct)


def fields(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A struct's text with its fields as a table: defaults, limits, meanings."""
    if what == "class" and _is_struct(obj) and obj.__struct_fields__:
        examples = [line for line in lines if line.startswith(">>>")]
        after = lines[lines.index(examples[0]) :] if examples else []
        del lines[len(lines) - len(after) :]
        lines[:] = [*settings.notes(obj).splitlines(), "", *settings.table(obj).splitlines(), "", *after]


def by_class_name(app: Any, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """A class that is written without its module, such as `FactorData`, if only one has that name."""
    name = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not name[:1].isupper() or "." in name:
        return None
    domain = env.get_domain("py")
    found = {full for full, entry in domain.objects.items()
             if full.endswith(f".{name}") and entry.objtype == "class"}  # fmt: skip
    if len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found.pop(), node, content)
