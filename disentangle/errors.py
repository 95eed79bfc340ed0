"""The errors that are the user's to mend: a wrong name, file, value or setting.

The command line prints them as one line without a traceback; from Python they are ordinary
`ValueError`\\ s whose message names the file or field, the value found and what was expected.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what was given and expected."""


class DataError(InputError):
    """A data file is missing, damaged, in the wrong form or not the file it should be."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that does not exist, naming the nearest ones that do.

    >>> print(unknown("metric", "migg", ["dci", "mig"]))
    unknown metric 'migg'; did you mean 'mig'? Known: dci, mig
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    return InputError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names) or 'none'}")
