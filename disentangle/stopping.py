"""Ctrl-C and SIGTERM end a command, wherever it is.

Python raises a signal's exception in whatever the main thread executes. If that is a callback of the
garbage collector the exception is printed, or not even that, and gone: a study would go on as if nobody
had asked it to stop. So the signal is kept, and loops that run for long look for it.
"""

from __future__ import annotations

import signal

_received: list[int] = []


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def listen() -> None:
    """Have SIGINT and SIGTERM raise `Stopped`; Slurm and Docker send the latter."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _told)


def _told(number: int, frame: object) -> None:
    _received.append(number)
    raise Stopped(number)


def check_stopped() -> None:
    """Raise `Stopped` if a signal came, also if its own exception was lost.

    >>> check_stopped()
    """
    if _received:
        raise Stopped(_received[0])
