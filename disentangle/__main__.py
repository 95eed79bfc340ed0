"""The command line. Its commands are in `cli_*`; what they do is the library's, and `commands`."""

from __future__ import annotations

import os
import sys

# Neither torch nor scikit-learn is imported by these, so that --help answers at once.
from cyclopts import App

from disentangle.cli_compare import compare
from disentangle.cli_data import data, list_what_is
from disentangle.cli_publish import publish
from disentangle.cli_study import demo, status, study
from disentangle.cli_tables import ladder, table
from disentangle.cli_train import score, train, udr

app = App(
    name="disentangle",
    help="The benchmark suite for disentangled representations.\n\nStart with: disentangle demo",
    version_flags=["--version"],
    version=lambda: _version(),
    suppress_keyboard_interrupt=False,  # main says what becomes of the work
)
for command in (demo, data, train, score, udr, study, status, table, compare, publish, ladder):
    app.command(command)
app.command(list_what_is, name="list")


def _version() -> str:
    from disentangle.provenance import version

    return version()


def main() -> None:
    """The console script: a user's mistake is one line and exit status 2, never a traceback."""
    from disentangle.errors import InputError
    from disentangle.stopping import Stopped, listen

    listen()
    try:
        app()
        sys.stdout.flush()
    except BrokenPipeError:  # what reads it, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (InputError, OSError) as error:
        print(f"disentangle: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped as stop:
        print("\nstopped; a study, or a run in training, goes on with the same command", file=sys.stderr)
        raise SystemExit(128 + stop.number) from None


if __name__ == "__main__":
    main()
