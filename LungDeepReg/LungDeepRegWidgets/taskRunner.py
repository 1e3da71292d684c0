"""Runs the worker's tasks, one at a time, and tells how they go, without ever keeping Slicer waiting."""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .busy import Busy

INTERVAL_MS = 50
"""Between two looks at the worker."""
TASKS = {
    "register": _("A registration"),
    "warp": _("Applying a transform"),
    "phantom": _("Making the sample pair"),
    "candidates": _("Looking for places for landmarks"),
    "propose": _("Looking for the place of a landmark"),
    "assess": _("An assessment"),
    "phase": _("Registering a series"),
}
PASSING = ("send", "answer")
"""The stages in which images go to the worker and come back; these are passed as fast as it goes."""
SLICE_S = 0.04
"""Longest time in a row that is spent on handing over images; Slicer answers clicks between the slices."""


@dataclass(frozen=True)
class Task:
    """What is running, and who wants to know about it."""

    name: str
    job: int
    onProgress: Callable[[str, float], None]
    onDone: Callable[[Any], None]
    onFailed: Callable[[str], None]


def ignore(*_arguments: Any) -> None:
    """Nobody listens."""


class TaskRunner:
    """The one place where Slicer's own process meets the worker.

    The worker starts with the first task and is kept: the next one pays for no import and no loading of weights.

    Attributes:
        onLog: Told each line that the worker logs.
        onReady: Told what the worker says when it is ready: the devices, the version of PyTorch.
        ready: The same, or None while no worker has said it.
    """

    def __init__(self) -> None:
        self.onLog: Callable[[str], None] = ignore
        self.onReady: Callable[[dict[str, Any]], None] = ignore
        self._worker: Any = None
        self._task: Task | None = None
        self._starting = False
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.connect("timeout()", self._look)

    @property
    def busy(self) -> bool:
        """Whether a task is running."""
        return self._task is not None

    @property
    def ready(self) -> dict[str, Any] | None:
        """What the worker said when it was ready, or None."""
        return self._worker.ready if self._worker is not None else None

    def run(
        self,
        name: str,
        request: dict[str, Any],
        *,
        onProgress: Callable[[str, float], None] = ignore,
        onDone: Callable[[Any], None] = ignore,
        onFailed: Callable[[str], None] = ignore,
    ) -> None:
        """Start a task; returns at once.

        Args:
            name: One of the worker's tasks: ``register``, ``warp``, ``phantom``.
            request: Its arguments; see :mod:`LungDeepRegLib.worker.tasks`.
            onProgress: Told the stage and the fraction of it that is done.
            onDone: Given the answer.
            onFailed: Given a message for people.

        Raises:
            Busy: Another task is running.
            RuntimeError: There is no Python for the worker.
        """
        if self._task is not None:
            text = _("{task} is still running; wait for it or cancel it.")
            raise Busy(text.format(task=TASKS.get(self._task.name, self._task.name)))
        if self._worker is None:
            self._worker = newWorker()
        job = self._worker.submit(name, request)
        self._task = Task(name, job, onProgress, onDone, onFailed)
        self._starting = self._worker.ready is None
        self._timer.start()

    def cancel(self) -> None:
        """Stop the running task at once; nobody is told about it any more."""
        if self._task is None:
            return
        self._task, self._starting = None, True
        self._worker.cancel()

    def close(self) -> None:
        """End the worker, with whatever it is doing."""
        self._task = None
        self._timer.stop()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _look(self) -> None:
        """Hand over the next part of the images, and pass on what the worker has said."""
        until = time.monotonic() + SLICE_S
        handingOver = True
        while handingOver and time.monotonic() < until:
            events = self._worker.poll()
            handingOver = any(event.stage in PASSING and event.fraction < 1 for event in events)
            for event in events:
                self._take(event)
                if self._worker is None:  # closed by whoever was told
                    return
        if self._task is None and not self._starting:
            self._timer.stop()

    def _take(self, event: Any) -> None:
        if event.kind == "log":
            self.onLog(event.message)
        elif event.kind == "ready":
            self._starting = False
            self.onReady(self._worker.ready)
        elif event.kind == "progress" and self._task is not None and event.job == self._task.job:
            self._task.onProgress(event.stage, event.fraction)
        elif event.kind == "done" and self._task is not None and event.job == self._task.job:
            self._finish(event)
        elif event.kind in ("failed", "ended"):
            self._fail(event)

    def _finish(self, event: Any) -> None:
        task, self._task = self._task, None
        try:
            answer = self._worker.read_answer(event)
        except (OSError, RuntimeError) as error:
            task.onFailed(_("The result can't be read: {error}").format(error=error))
            return
        task.onDone(answer)

    def _fail(self, event: Any) -> None:
        from .pytorch import messageFor

        self.onLog(event.message)
        task, self._task, self._starting = self._task, None, False
        if task is not None:
            task.onFailed(messageFor(event.reason, event.message))


def newWorker() -> Any:
    """A worker that runs on Slicer's Python, with the environment that Slicer itself was started with.

    Raises:
        RuntimeError: No such Python.
    """
    from LungDeepRegLib.worker.client import Worker

    python = shutil.which("PythonSlicer") or sys.executable
    if "python" not in Path(python).name.lower():  # it may be Slicer itself, which would open a second window
        raise RuntimeError(_("PythonSlicer was not found beside {program}.").format(program=python))
    return Worker(python, slicer.util.startupEnvironment(), slicer.app.temporaryPath)
