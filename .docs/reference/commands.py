"""The command line's help as Markdown, from the program itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def pages(root: Path) -> dict[str, str]:
    """The help of every command, ``made/commands.inc``."""
    from disentangle.__main__ import app

    started = sys.argv
    sys.argv = ["disentangle"]  # else the lines of usage name the program that builds the pages
    try:
        text = app.generate_docs("markdown", heading_level=1, usage_name="disentangle")
    finally:
        sys.argv = started
    _, *commands = re.split(r"(?m)^(?=## disentangle )", text)
    return {"made/commands.inc": "\n".join(map(command, commands))}


def command(text: str) -> str:
    """One command's help: its examples as code, and nothing in it read as HTML.

    >>> print(command("Train.\\n\\nExample: disentangle train\\n--steps 5 > log").rstrip())
    Train.
    <BLANKLINE>
    ```console
    $ disentangle train --steps 5 > log
    ```
    """
    return "\n\n".join(map(_paragraph, text.strip().split("\n\n"))) + "\n"


def _paragraph(text: str) -> str:
    if text.startswith("Example: "):
        return f"```console\n$ {' '.join(text.removeprefix('Example: ').split())}\n```"
    if text.startswith("```"):
        return text.replace("```console", "```text")
    text = re.sub(r" \*\[default: (False|\"\")\]\*", "", text)  # a switch that is not given, or nothing
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else piece.replace("<", "&lt;") for piece in pieces)
