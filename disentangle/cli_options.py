"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

Source = Annotated[
    str,
    Parameter(help="official, drawn, user, or auto: official where the file is found, user for your own."),
]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:1.")]
Workers = Annotated[
    int | None,
    Parameter(help="Processes at once; one per core on a CPU if left out.", validator=Number(gte=1)),
]
