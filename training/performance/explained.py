"""How the commands of this folder end: errors in words, Ctrl-C, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from LungDeepRegLib.commands.process import interrupt_on_termination
from LungDeepRegLib.image_io import FileError
from LungDeepRegLib.volume import VolumeError

from ..benchmarking.command import BAD_INPUT, EXPLAINED, INTERRUPTED, OK


def explained(run: Callable[[], None]) -> int:
    """Run a command; 3 for bad input and 130 after Ctrl-C, with a sentence on standard error."""
    interrupt_on_termination()
    try:
        run()
    except (*EXPLAINED, FileError, VolumeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on\n")
        return INTERRUPTED
    return OK
