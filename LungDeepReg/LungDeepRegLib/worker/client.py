"""The face's side of the worker: jobs in, events out, never waiting. Works without torch, Qt and threads."""

from __future__ import annotations

import atexit
import math
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .exchange import PIECE_BYTES, ExchangeError, Packing, Reading
from .job import Job
from .messages import Event
from .process import Process, in_words

BLOCK_BYTES = 8 * PIECE_BYTES
BLOCK_SECONDS = 0.025
"""No further piece of an array is passed in one call of :meth:`Worker.poll` after one of these."""
CLOSING_SECONDS = 5.0


class WorkerBusyError(RuntimeError):
    """A job was given while another one is running."""


class Worker:
    """A process that computes, kept from job to job; one job at a time.

    Call :meth:`poll` often (every 20 to 50 ms while :attr:`busy`): everything happens there, a little each time.

    Args:
        python: The interpreter, or a launcher that starts one.
        environment: Its environment variables; None for this process' own.
        folder: Where folders for images on their way are made; None for the system's temporary folder.
    """

    def __init__(
        self,
        python: str | Path = sys.executable,
        environment: Mapping[str, str] | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self.python = python
        self.environment = dict(os.environ if environment is None else environment)
        self.folder = folder
        self.ready: dict[str, Any] | None = None
        self._process: Process | None = None
        self._job: Job | None = None
        self._jobs = 0
        self._ending: list[Process] = []
        self._waiting: list[Event] = []
        self._answers: dict[int, Any] = {}

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._job is not None

    def start(self) -> None:
        """Start the process unless it runs; returns at once. What goes wrong is told by :meth:`poll`."""
        if self._process is not None and (self.busy or self._process.exit_code() is None):
            return
        self._dismiss()  # it may have died while it had nothing to do
        try:
            self._process = Process(self.python, self.environment, self.folder)
        except OSError as error:
            message = f"The process for the computation couldn't be started ({self.python}): {error}"
            self._waiting.append(Event("failed", message=message, reason="start"))
        atexit.unregister(self.close)
        atexit.register(self.close)

    def submit(self, task: str, request: Mapping[str, Any]) -> int:
        """Give a job; it is written by :meth:`poll`, and may be given before the process is ready.

        Args:
            task: One of :data:`messages.STAGES`.
            request: What :class:`exchange.Packing` takes. Arrays are read while they are written, not copied: they must
                stay as they are until the stage ``send`` is at 1.

        Returns:
            The job's number, which its events have.

        Raises:
            WorkerBusyError: Another job isn't over.
            ExchangeError: A request that can't be passed.
        """
        if self._job is not None:
            msg = f"found the job {self._job.task!r} running, expected none; wait for it or cancel it"
            raise WorkerBusyError(msg)
        self.start()
        self._jobs += 1
        self._answers.clear()
        if self._process is None:
            self._waiting[-1] = replace(self._waiting[-1], job=self._jobs)
            return self._jobs
        folder = self._process.folder / f"job-{self._jobs}"
        packing = Packing(dict(request), folder / "request")
        self._job = Job(self._jobs, task, folder, packing, Reading(folder / "answer", removing=True), packing.written())
        return self._jobs

    def poll(self) -> list[Event]:
        """What happened since the last call. Passes at most :data:`BLOCK_BYTES` of a job, and waits for nothing."""
        self._clear_a_little()
        events, self._waiting = self._waiting, []
        process = self._process
        if process is None:
            return events
        code = process.exit_code()  # before reading: what was said before the end has been read then
        messages, log = process.heard(), process.log.new_lines()
        if log:
            events.append(Event("log", message="\n".join(log)))
        for message in messages:
            events += self._heard(message)
        if self._job is not None and self._job.passing is not None:
            events += self._pass(process, self._job)
        elif code is not None and not log and not messages:
            events += self._gone(process, code)
        return events

    def cancel(self) -> None:
        """End the running job at once by killing the process, and start a fresh one; nothing where no job runs.

        Returns without waiting. No event of the job appears any more.
        """
        if self._job is None:
            return
        self._over()
        self._waiting = []
        self._dismiss()
        self.start()

    def close(self) -> None:
        """End the process and remove all files; waits for that, a few seconds at most. It may be started again."""
        atexit.unregister(self.close)
        self._over()
        self._waiting = []
        self._dismiss()
        deadline = time.monotonic() + CLOSING_SECONDS
        while self._ending and time.monotonic() < deadline:
            self._clear_a_little()
            time.sleep(0.005)

    def read_answer(self, event: Event) -> Any:
        """The answer of a job that is ``done``; at once, since it is in memory. It can be had once, until the next job.

        Raises:
            ExchangeError: An event of another kind, or an answer that was taken before.
        """
        if event.kind != "done" or event.job not in self._answers:
            msg = f"found no answer for {event}, expected that of a job that is done, taken once"
            raise ExchangeError(msg)
        return self._answers.pop(event.job)

    def _pass(self, process: Process, job: Job) -> list[Event]:
        """Write the next block of a job's request, or read that of its answer."""
        assert job.passing is not None
        until, block = time.monotonic() + BLOCK_SECONDS, 0
        most = math.inf if job.sent else BLOCK_BYTES - PIECE_BYTES  # what is read needn't wait for a disk
        try:
            while block <= most and time.monotonic() < until:
                size = next(job.passing, None)
                if size is None:
                    return self._passed(process, job)
                block += size
        except OSError as error:
            message = f"The images couldn't be passed to the computation: {job.folder}: {error.strerror or error}"
            return [self._failed(message, "input")]
        except (ExchangeError, MemoryError) as error:
            message = f"The result couldn't be read: {type(error).__name__}: {error}"
            return [self._failed(message, "memory" if isinstance(error, MemoryError) else "defect")]
        job.passed_bytes += block
        if job.sent:
            return [Event("progress", job.number, "answer", 0.5 + 0.5 * job.passed_bytes / job.answer.total_bytes)]
        return [Event("progress", job.number, "send", job.passed_bytes / job.request.total_bytes)]

    def _passed(self, process: Process, job: Job) -> list[Event]:
        """The request is written whole, or the answer read whole."""
        job.passing = None
        if not job.sent:
            job.sent = True
            job.request.arrays.clear()  # Slicer may let go of them
            process.tell({"event": "job", "job": job.number, "task": job.task, "folder": str(job.folder)})
            return [Event("progress", job.number, "send", 1.0)]
        self._answers[job.number] = job.answer.value
        self._over()
        shutil.rmtree(job.folder, ignore_errors=True)
        return [Event("progress", job.number, "answer", 1.0), Event("done", job.number)]

    def _heard(self, message: dict[str, Any]) -> list[Event]:
        """The events of a message of the process."""
        kind = message["event"]
        if kind == "ready":
            self.ready = message
            return [Event("ready")]
        if kind == "failed" and message["job"] is None:  # it can't even start
            job = self._over()
            self._dismiss()
            return [Event("failed", job, message=message["message"], reason=message["reason"])]
        if self._job is None or message["job"] != self._job.number:
            return []
        if kind == "progress":
            # The answer is written by the process, then read here: half of the stage each.
            share = 0.5 if message["stage"] == "answer" else 1.0
            return [Event("progress", message["job"], message["stage"], share * message["fraction"])]
        if kind == "failed":
            return [self._failed(message["message"], message["reason"])]
        self._job.passing, self._job.passed_bytes = iter(self._job.answer), 0
        return []

    def _gone(self, process: Process, code: int) -> list[Event]:
        """The process ended although nobody told it to."""
        message = f"The process for the computation is gone: {in_words(code)}.\n{process.log.everything_last()}"
        job = self._over()
        self._dismiss()
        return [Event("ended", job, message=message.strip())]

    def _failed(self, message: str, reason: str) -> Event:
        """The running job failed; its files are removed, the process is kept."""
        assert self._job is not None
        folder = self._job.folder
        event = Event("failed", self._over(), message=message, reason=reason)
        shutil.rmtree(folder, ignore_errors=True)
        return event

    def _over(self) -> int | None:
        """The running job is over; its number."""
        job, self._job = self._job, None
        if job is None:
            return None
        job.passing = None  # which closes the file
        return job.number

    def _dismiss(self) -> None:
        """Kill the process, if there is one; its folder is removed by and by."""
        process, self._process, self.ready = self._process, None, None
        if process is not None:
            process.kill()
            self._ending.append(process)

    def _clear_a_little(self) -> None:
        """Remove a file of each process that has ended."""
        self._ending = [process for process in self._ending if not process.cleared()]
