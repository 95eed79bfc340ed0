"""A figure as SVG to put into a page: in few letters, in the page's own ink and font."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from disentangle.figure_style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, LINK, HREF = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "xlink:href"


def svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an ``<svg>`` element to put into a page; also a file of its own.

    It has a transparent ground, grows and shrinks with its place up to its own size, and every id in it
    begins with ``name``.
    """
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(drawn.getvalue())
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        element.tail, element.text = None, element.text if element.tag == "text" else None
        named = ((key.replace(f"{{{LINK}}}", "xlink:"), value) for key, value in element.attrib.items())
        element.attrib = {key: _short(key, value) for key, value in named if "rotate(-0 " not in value}
    _name_ids(root, name)
    _flatten(root)
    _head(root, name, title)
    return ElementTree.tostring(root, encoding="unicode")


def _head(root: ElementTree.Element, name: str, title: str) -> None:
    box = root.attrib["viewBox"]
    pixels = float(box.split()[2]) * 96 / 72
    root.attrib.clear()
    root.attrib.update({"xmlns": SVG, "xmlns:xlink": LINK, "viewBox": box, "role": "img"})
    # The round joins are what matplotlib says in a style sheet, which would hold for the whole page.
    root.attrib |= {
        "aria-labelledby": f"{name}-title",
        "style": f"max-width:{pixels:.0f}px;stroke-linejoin:round",
    }
    told = ElementTree.Element("title", {"id": f"{name}-title"})
    told.text = title
    root.insert(0, told)


def _flatten(parent: ElementTree.Element) -> None:
    """Leave out what only matplotlib needs: groups that say nothing, data of the file, the style sheet."""
    kept: list[ElementTree.Element] = []
    for child in parent:
        _flatten(child)
        empty = child.tag in ("g", "defs") and not len(child)
        if empty or child.tag in ("metadata", "style") or child.get("style") == "fill:none":
            continue
        kept += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = kept


def _name_ids(root: ElementTree.Element, name: str) -> None:
    """Keep only the ids that something refers to, as ``name-1`` and so on in their order."""
    linked = re.compile(r"(?<=url\(#)[^)]+")
    values = [(key, value) for element in root.iter() for key, value in element.attrib.items()]
    used = [i for key, value in values for i in ([value[1:]] if key == HREF else linked.findall(value))]
    names = {old: f"{name}-{i}" for i, old in enumerate(dict.fromkeys(used), 1)}
    for element in root.iter():
        own = element.attrib.pop("id", "")
        renamed = {"id": names[own]} if own in names else {}
        for key, value in element.attrib.items():
            to = f"#{names[value[1:]]}" if key == HREF else linked.sub(lambda found: names[found[0]], value)
            renamed[key] = to
        element.attrib = renamed


def _short(key: str, value: str) -> str:
    """An attribute in fewer letters: numbers rounded to what can be seen, ink and fonts those of the page."""
    decimals = 1 if key == "d" and len(value) > 300 else 2
    value = re.sub(
        r"-?\d+\.\d+", lambda found: f"{float(found[0]):.{decimals}f}".rstrip("0").rstrip("."), value
    )
    if key == "style":
        value = re.sub(r"'DejaVu Sans'[^;]*", "sans-serif", value.replace(INK, "currentColor"))
        return re.sub(r"([:;]) ", r"\1", value)
    value = " ".join(value.split())
    if key != "d" or set(value) & set("CQ"):
        return value
    # Points after the first of a line need no letter, and those of no length can be written as such.
    return re.sub(r"M (\S+ \S+) \1(?=$| [^-\d])", r"M \1h0", value.replace(" L ", " "))
