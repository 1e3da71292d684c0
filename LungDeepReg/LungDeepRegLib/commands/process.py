"""The process that a command runs in."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn


def start_time() -> float | None:
    """When this process began, in seconds since 1970, so that the time for imports counts; None if it isn't known.

    Linux tells it in /proc (proc(5), field 22 of stat), in clock ticks since the machine was started.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def forget_peak_memory() -> None:
    """Let the most memory that this process had resident begin anew from what it has now, on Linux.

    So it is that of one case, not of all those before it (proc(5), clear_refs).
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def interrupt_on_termination() -> None:
    """Let a polite kill (SIGTERM) clean up like Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def leave(code: int) -> NoReturn:
    """End this process, whose files are closed, at once: taking down torch takes nearly a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
