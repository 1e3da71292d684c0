"""The command line: ``python -m LungDeepRegLib --help``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence

from .commands.console import complain
from .commands.errors import OK, exit_code, explained
from .commands.parser import make_parser
from .commands.process import interrupt_on_termination, leave, start_time


def main(arguments: Sequence[str] | None = None, started: float | None = None) -> int:
    """Run a command.

    Args:
        arguments: As after ``python -m LungDeepRegLib``; None for this process' own.
        started: When the clock began, in seconds since 1970; None for now.

    Returns:
        The exit code, see :data:`commands.errors.MEANINGS`. Unknown options end in SystemExit with code 2, as argparse
        has it.
    """
    args = make_parser().parse_args(arguments)
    args.started = started or time.time()
    try:
        args.run(args)
    except (Exception, KeyboardInterrupt) as error:
        if args.debug:
            complain(traceback.format_exc())
        complain(f"error: {explained(error)}")
        return exit_code(error)
    return OK


if __name__ == "__main__":
    interrupt_on_termination()
    leave(main(started=start_time()))
