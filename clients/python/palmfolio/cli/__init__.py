"""The command line: `palmfolio COMMAND`, one module per group of commands.

Exit codes: 0 done; 1 failed; 2 bad usage, which includes arguments that a service finds invalid;
130 and 143 when stopped by Ctrl-C or SIGTERM. Errors go to standard error as one paragraph.
"""

import io
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits.

    Args:
        arguments: without the program's name; None takes the process's.
    """
    from palmfolio.cli.app import run

    for stream in (sys.stdout, sys.stderr):
        # Texts may hold what a terminal cannot show, or half a character: it is escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))
