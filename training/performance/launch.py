"""Starts a process, waits for it, and writes how long it took and how much memory: ``launch.py times.json python ...``.

Linux counts the memory of the process that forked as its child's own, so a small one has to start what is measured:
this file imports nothing but the standard library, and is run as a file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType


def launch(out: Path, words: list[str]) -> int:
    """Run words as a process; its exit code, with ``seconds`` and ``peak_memory_mb`` in a JSON file."""
    started = time.perf_counter()
    process = subprocess.Popen(words)
    try:
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    seconds = time.perf_counter() - started
    unit = 1024**2 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, kilobytes on Linux
    out.write_text(json.dumps({"seconds": seconds, "peak_memory_mb": used.ru_maxrss / unit}), encoding="utf-8")
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


def stop(number: int, frame: FrameType | None) -> None:
    """A polite kill takes what was started with it."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    code = launch(Path(sys.argv[1]), sys.argv[2:])
    sys.exit(code if code >= 0 else 128 - code)
