"""Methods whose result is known, or that go wrong, for tests of what runs methods."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField

from training.benchmarking.job import work
from training.methods import MethodError


@dataclass(frozen=True)
class Shift:
    """The same displacement everywhere; in whatever way it is told to go wrong, it does so once."""

    mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    name: str = "shift"
    title: str = "constant"
    costly: bool = False
    absent: str = ""
    error: str = ""
    kill_unless: Path | None = None
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)

    def ready(self):
        if self.absent:
            raise MethodError(self.absent)

    def __call__(self, pair, threads, device="cpu"):
        time.sleep(self.seconds)
        if self.error:
            raise ValueError(self.error)
        if self.kill_unless is not None and not self.kill_unless.exists():
            self.kill_unless.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return DisplacementField(np.broadcast_to(np.float32(self.mm), (*pair.lattice.shape, 3)).copy(), pair.lattice)


class Heard(list):
    """A connection and a listener that keep what they are told."""

    def send(self, message):
        self.append(message)

    def begun(self, name, case):
        self.append(("begun", name, case.group))

    def done(self, name, case, error):
        self.append(("done", name, error))

    def missing(self, name, why, cases):
        self.append(("missing", name, why))


def in_process(jobs, workers, listener):
    """As :func:`run_jobs`, without processes."""
    for one in jobs:
        heard = Heard()
        work(one, heard)
        for word, content in heard:
            if word == "done":
                listener.done(one.name, one.cases[0], content)
            if word == "missing":
                listener.missing(one.name, content, len(one.cases))
