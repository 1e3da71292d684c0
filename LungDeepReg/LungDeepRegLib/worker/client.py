"""The face's side of the worker: jobs in, events out, never waiting. Works without torch, Qt and threads."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .exchange import PIECE_BYTES, Packing, load
from .messages import Event
from .process import Process, in_words, remove_a_file

BLOCK_BYTES = 8 * PIECE_BYTES
CLOSING_SECONDS = 5.0


class WorkerBusyError(RuntimeError):
    """A job was given while another one is running."""


@dataclass
class Job:
    """A job that isn't over: what is still to be written, and where everything of it lies."""

    number: int
    task: str
    folder: Path
    total_bytes: int
    writing: Iterator[int] | None = None
    written_bytes: int = 0


@dataclass
class Leftovers:
    """What is to be removed when there is time for it."""

    processes: list[Process] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def clear_a_little(self) -> None:
        """Remove at most one file of each."""
        self.processes = [process for process in self.processes if not process.cleared()]
        self.folders = [folder for folder in self.folders if not remove_a_file(folder)]


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
        self._leftovers = Leftovers()
        self._waiting: list[Event] = []

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._job is not None

    def start(self) -> None:
        """Start the process unless it runs; returns at once. What goes wrong is told by :meth:`poll`."""
        if self._process is not None:
            return
        self.ready = None
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
                stay as they are until the first progress after the stage ``send``.

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
        if self._process is None:
            self._waiting[-1] = replace(self._waiting[-1], job=self._jobs)
            return self._jobs
        folder = self._process.folder / f"job-{self._jobs}"
        packing = Packing(dict(request), folder / "request")
        self._job = Job(self._jobs, task, folder, packing.total_bytes, packing.written())
        return self._jobs

    def poll(self) -> list[Event]:
        """What happened since the last call. Writes at most :data:`BLOCK_BYTES` of a job, and waits for nothing."""
        self._leftovers.clear_a_little()
        events, self._waiting = self._waiting, []
        process = self._process
        if process is None:
            return events
        code = process.exit_code()  # before reading: what was said before the end has been read then
        if self._job is not None and self._job.writing is not None and code is None:
            events += self._write(process, self._job)
        messages, log = process.heard(), process.log.new_lines()
        if log:
            events.append(Event("log", message="\n".join(log)))
        for message in messages:
            events += self._heard(message)
        if code is not None and not log and not messages:
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
        while (self._leftovers.processes or self._leftovers.folders) and time.monotonic() < deadline:
            self._leftovers.clear_a_little()
            time.sleep(0.005)

    def read_answer(self, event: Event) -> Any:
        """The answer of a job that is ``done``, read into memory; its files are removed, so it can be read once.

        Raises:
            ExchangeError: Files that are gone, since the answer was read before or the worker was closed.
        """
        assert event.folder is not None, f"found the event {event.kind!r}, expected 'done'"
        answer = load(event.folder)
        shutil.rmtree(event.folder.parent, ignore_errors=True)
        return answer

    def _write(self, process: Process, job: Job) -> list[Event]:
        """Write the next block of a job; tell the process once all is there."""
        assert job.writing is not None
        written = 0
        try:
            while written <= BLOCK_BYTES - PIECE_BYTES:
                size = next(job.writing, None)
                if size is None:
                    job.writing = None
                    process.tell({"event": "job", "job": job.number, "task": job.task, "folder": str(job.folder)})
                    break
                written += size
        except OSError as error:
            message = f"The images couldn't be passed to the computation: {job.folder}: {error.strerror or error}"
            return [Event("failed", self._over(), message=message, reason="input")]
        job.written_bytes += written
        fraction = 1.0 if job.writing is None else job.written_bytes / job.total_bytes
        return [Event("progress", job.number, "send", fraction)]

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
            return [Event("progress", message["job"], message["stage"], message["fraction"])]
        if kind == "failed":
            return [Event("failed", self._over(), message=message["message"], reason=message["reason"])]
        folder, self._job = self._job.folder / "answer", None
        return [Event("done", message["job"], folder=folder)]

    def _gone(self, process: Process, code: int) -> list[Event]:
        """The process ended although nobody told it to."""
        message = f"The process for the computation is gone: {in_words(code)}.\n{process.log.everything_last()}"
        job = self._over()
        self._dismiss()
        return [Event("ended", job, message=message.strip())]

    def _over(self) -> int | None:
        """The running job is over; its number. Its files are removed by and by."""
        job, self._job = self._job, None
        if job is None:
            return None
        job.writing = None
        self._leftovers.folders.append(job.folder)
        return job.number

    def _dismiss(self) -> None:
        """Kill the process, if there is one; its folder is removed by and by."""
        process, self._process, self.ready = self._process, None, None
        if process is not None:
            process.kill()
            self._leftovers.processes.append(process)
