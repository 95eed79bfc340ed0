"""What a column of a CSV file is, and what stands in one. `disentangle.schema` has those of a study."""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from disentangle import find
from disentangle.errors import short

Kind = Literal["string", "integer", "number", "boolean"]
# How pandas writes each type; no "1_000", "inf" or " 1", which Python's float would take.
FORMS: dict[Kind, tuple[re.Pattern[str], str]] = {
    "string": (re.compile(r"(?s).*"), "a text"),
    "integer": (re.compile(r"-?[0-9]{1,19}"), "a whole number"),
    "number": (re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"), "a finite number"),
    "boolean": (re.compile(r"True|False"), "True or False"),
}
HYPER = "hyper."  # begins the columns of hyperparameters


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a CSV file.

    Attributes:
        name: in the file's first line.
        type: of its cells, as in Table Schema.
        title: a few words for people.
        description: what it says, with the formula where there is one.
        unit: such as ``"seconds"``; empty where there is none.
        required: whether no cell may be empty.
        enum: the texts that may stand there; all where empty.
        minimum, maximum: of numbers.
        pattern: a regular expression that the whole text matches.
        blank: whether an empty text is a value, and not a missing one; the pattern has to match it then.
    """

    name: str
    type: Kind
    title: str
    description: str = ""
    unit: str = ""
    required: bool = False
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    pattern: str = ""
    blank: bool = False

    def expected(self, text: str) -> str:
        """What should stand in a cell instead of a text; empty if the text is right.

        >>> Column(name="seed", type="integer", title="Seed", minimum=0).expected("-1")
        'at least 0'
        """
        if not text and not self.blank:
            return "a value" if self.required else ""
        form, said = FORMS[self.type]
        if not form.fullmatch(text) or (self.type == "number" and not math.isfinite(float(text))):
            return said
        if self.enum and text not in self.enum:
            return f"one of {', '.join(self.enum)}"
        if self.pattern and not re.fullmatch(self.pattern, text):
            return f"a text of the form {self.pattern}"
        if self.minimum is not None and float(text) < self.minimum:
            return f"at least {self.minimum}"
        if self.maximum is not None and float(text) > self.maximum:
            return f"at most {self.maximum}"
        return ""

    def descriptor(self) -> dict[str, Any]:
        """The column as a field of Table Schema, where ``unit`` is a property of our own."""
        limits: dict[str, Any] = {"required": self.required or None, "enum": list(self.enum) or None}
        limits |= {"minimum": self.minimum, "maximum": self.maximum, "pattern": self.pattern or None}
        constraints = {name: value for name, value in limits.items() if value is not None}
        field: dict[str, Any] = {"name": self.name, "type": self.type, "title": self.title}
        field |= {"description": self.description} if self.description else {}
        field |= {"unit": self.unit} if self.unit else {}
        field |= {"trueValues": ["True"], "falseValues": ["False"]} if self.type == "boolean" else {}
        field |= {"missingValues": []} if self.blank else {}
        return field | ({"constraints": constraints} if constraints else {})


@dataclass(frozen=True, kw_only=True)
class Table:
    """One CSV file of a study.

    Attributes:
        title: a few words for people.
        description: what a line is.
        columns: in their order.
        key: the columns of which no two lines have the same values; none where there are none.
        hyper: whether a column per hyperparameter follows, in the order of their names.
    """

    title: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    hyper: bool = False

    def descriptor(self, hyper: Iterable[Column] = ()) -> dict[str, Any]:
        """The file as a Table Schema.

        The key is its ``primaryKey``, or, where a part of it may be missing, which a primary key's must not,
        one of its ``uniqueKeys``.

        Args:
            hyper: the columns of hyperparameters; see `hyper_column`.
        """
        never_missing = {column.name for column in self.columns if column.required or column.blank}
        key = {"uniqueKeys": [list(self.key)]} if self.key else {}
        return {
            "fields": [column.descriptor() for column in (*self.columns, *hyper)],
            "missingValues": [""],
            **({"primaryKey": list(self.key)} if self.key and never_missing.issuperset(self.key) else key),
        }


def type_of(texts: Iterable[str]) -> Kind:
    """The narrowest type that all texts have which are not empty.

    >>> type_of(["1", "", "20"]), type_of(["1", "0.5"]), type_of(["1", "rnd"]), type_of([])
    ('integer', 'number', 'string', 'string')
    """
    found = {text for text in texts if text}
    kinds: tuple[Kind, ...] = ("integer", "number", "boolean")
    fits = (kind for kind in kinds if all(FORMS[kind][0].fullmatch(text) for text in found))
    return next(fits, "string") if found else "string"


def hyper_column(name: str, texts: Iterable[str], methods: Iterable[str]) -> Column:
    """The column of a hyperparameter, described by the texts of the methods that have it.

    Args:
        name: the column's, such as ``"hyper.beta"``.
        texts: what stands in it, which gives the type.
        methods: the methods of the lines where something stands.

    >>> print(hyper_column("hyper.beta", ["1.0"], ["beta_vae"]).description)
    beta-VAE: weight of the KL, at least 0; 1 is the VAE. The 2019 study sweeps 1, 2, 4, 6, 8, 16.
    """
    hyper = name.removeprefix(HYPER)
    of: dict[str, list[str]] = {}
    for method in sorted(methods):
        title, about = _about(method, hyper)
        of.setdefault(about, []).append(title)
    known = [f"{', '.join(titles)}: {about}" for about, titles in of.items() if about]
    others = [f"{', '.join(titles)}: no description." for about, titles in of.items() if not about]
    description = " ".join([*known, *others])
    return Column(name=name, type=type_of(texts), title=f"Hyperparameter {hyper}", description=description)


def _about(method: str, hyper: str) -> tuple[str, str]:
    """A method's title, and what the text of its settings says of a hyperparameter."""
    if method not in find.names("method"):  # of another version
        return method, ""
    described = find.get("method", method)
    names = "|".join(re.escape(name) for name in described.settings.__struct_fields__)
    text = " ".join((described.settings.__doc__ or "").split())
    # "beta: weight of the KL. quantization, commitment: weights of the penalties."
    _, *parts = re.split(rf"(?:^|(?<=[.:;)] ))((?:{names})(?:, (?:{names}))*): ", text)
    said: Mapping[str, str] = dict(zip(parts[::2], parts[1::2], strict=True))
    return described.title, next((t.strip() for heads, t in said.items() if hyper in heads.split(", ")), "")


def check_csv(path: Path, table: Table) -> list[str]:
    """What of a CSV file departs from its schema, read as text: a sentence each, none if all is well.

    Columns that are missing, unknown, twice or in another order; cells of the wrong type, missing, or out of
    their limits; two lines with the same key. Each names the file, the line, the column, what was found and
    what was expected.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.csv"
    >>> _ = path.write_text("seed\\n-1\\n")
    >>> seed = Column(name="seed", type="integer", title="Seed", minimum=0)
    >>> [told] = check_csv(path, Table(title="", description="", columns=(seed,), key=()))
    >>> told.partition(": ")[2]
    "line 2, column 'seed': found '-1', expected at least 0"
    """
    try:
        with csv_reader(path) as reader:
            header: list[str] = next(reader, [])
            return _header(path, header, table) or list(_lines(path, reader, header, table))
    except FileNotFoundError:
        return [f"{path} is missing"]
    except (csv.Error, UnicodeDecodeError) as error:
        return [f"{path}: it is no CSV file in UTF-8: {error}"]


@contextmanager
def csv_reader(path: Path) -> Iterator[Any]:
    """The reader of a CSV file's lines, as lists of texts."""
    with long_cells(), path.open(encoding="utf-8", newline="") as file:
        yield csv.reader(file, strict=True)


@contextmanager
def long_cells() -> Iterator[None]:
    """Let the csv module read cells of any length: `left_out` can name thousands of runs."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header(path: Path, header: list[str], table: Table) -> list[str]:
    """What is wrong with a file's first line."""
    known = [column.name for column in table.columns]
    hyper = sorted(n for n in set(header) - set(known) if table.hyper and n.startswith(HYPER) and n != HYPER)
    wanted = [*known, *hyper]
    expected = f"expected {', '.join(known)}" + (f" and {HYPER}<name>" if table.hyper else "")
    problems = [f"the column {name!r} is missing; {expected}" for name in known if name not in header]
    problems += [f"unknown column {short(n)}; {expected}" for n in dict.fromkeys(header) if n not in wanted]
    problems += [
        f"the column {short(n)} is there {header.count(n)} times" for n in wanted if header.count(n) > 1
    ]
    if not problems and header != wanted:
        i = next(i for i, (one, other) in enumerate(zip(header, wanted, strict=True)) if one != other)
        problems = [f"column {i + 1} is {header[i]!r}, expected {wanted[i]!r}: the order is another"]
    return [f"{path}: line 1: {problem}" for problem in problems]


def _lines(path: Path, reader: Any, header: list[str], table: Table) -> Iterator[str]:
    """What is wrong with the lines after the first."""
    right: list[set[str]] = [set() for _ in header]  # texts of each column that were seen and are right
    places = [header.index(name) for name in table.key]
    seen: dict[tuple[str, ...], int] = {}
    for cells in reader:
        line = reader.line_num
        if len(cells) != len(header):
            yield f"{path}: line {line}: found {len(cells)} cells, expected {len(header)}"
            continue
        for i, text in enumerate(cells):
            if text in right[i]:
                continue
            if i < len(table.columns) and (expected := table.columns[i].expected(text)):
                yield f"{path}: line {line}, column {header[i]!r}: found {short(text)}, expected {expected}"
            else:
                right[i].add(text)
        key = tuple(cells[place] for place in places)
        if places and (before := seen.setdefault(key, line)) != line:
            said = ", ".join(f"{n} {short(text)}" for n, text in zip(table.key, key, strict=True))
            yield f"{path}: line {line}: the same key as line {before}: {said}; expected each once"
