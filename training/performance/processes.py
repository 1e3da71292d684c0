"""A whole process with its time and its memory, from its start to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..benchmarking.runner import THREAD_VARIABLES
from ..errors import TrainingError
from . import launch

ROOT = Path(__file__).resolve().parents[2]
"""Of this checkout."""


class ProcessError(TrainingError):
    """A process that didn't do what it was started for."""


@dataclass(frozen=True)
class Timed:
    """One run of a process.

    Attributes:
        seconds: From before its start until it had ended.
        peak_memory_mb: Most resident memory of the process.
    """

    seconds: float
    peak_memory_mb: float


def timed_process(words: Sequence[str], threads: int, checkout: Path = ROOT) -> Timed:
    """Run Python with the code of a checkout, and wait for it.

    Args:
        words: After ``python``.
        threads: That its libraries are told to use.
        checkout: Whose engine and training package it imports.

    Raises:
        ProcessError: It ended with an error; the last of what it said is in the message.
    """
    path = os.pathsep.join(str(folder) for folder in (checkout / "LungDeepReg", checkout))
    variables = {**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "times.json"
        launcher = [sys.executable, "-I", "-S", str(launch.__file__), str(times), sys.executable, *words]
        with (Path(folder) / "said.txt").open("w+b") as said:
            process = subprocess.Popen(launcher, env=variables, stdout=said, stderr=said)
            try:
                code = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        if code:
            msg = f"{' '.join(words[:3])} ended with {code}, expected 0: {lines[-1] if lines else 'it said nothing'}"
            raise ProcessError(msg)
        return Timed(**json.loads(times.read_text(encoding="utf-8")))
