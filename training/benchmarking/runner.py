"""Methods side by side, each in processes of its own; what is there already isn't done again."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

from LungDeepRegLib.results.staging import OutputError
from LungDeepRegLib.worker.process import in_words

from ..methods import Method
from .cases import Case
from .job import BEGUN, DONE, MISSING, STOP, Job, Setting, blank_record, work
from .record import GROUPS, REST, RecordError, read_record, record_file, write_record

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""What libraries read when they are loaded, and hence before a method's process begins."""


class Listener(Protocol):
    """Is told what happens."""

    def begun(self, name: str, case: Case) -> None:
        """A method begins a case."""

    def done(self, name: str, case: Case, error: str | None) -> None:
        """A case has its record."""

    def missing(self, name: str, why: str, cases: int) -> None:
        """A method can't run here; so many cases stay undone."""


@dataclass
class Running:
    """A process at work."""

    job: Job
    process: BaseProcess
    number: int | None = None
    """Of the case that has begun."""
    finished: int = 0


def open_jobs(methods: Mapping[str, Method | None], cases: Sequence[Case], setting: Setting) -> list[Job]:
    """What is still to be done, in order: by group of cases, then by method; costly methods leave out the rest.

    Cases whose record holds an error are done again.

    Raises:
        RecordError: Records of other inputs or settings, by their files' names.
    """
    unlike: list[str] = []
    jobs = []
    for group in GROUPS:
        for name, method in methods.items():
            wanted = [case for case in cases if case.group == group and not (method and left_out(method, case))]
            todo = tuple(case for case in wanted if not is_done(name, method, case, setting, unlike))
            if todo:
                jobs.append(Job(name, method, todo, setting))
    if unlike:
        more = f" and {len(unlike) - 3} more" if len(unlike) > 3 else ""
        msg = f"found records that don't fit: {'; '.join(unlike[:3])}{more}. Choose another --out, or remove them"
        raise RecordError(msg)
    return jobs


def left_out(method: Method, case: Case) -> bool:
    """Whether a method is too costly for a case."""
    return method.costly and case.group == REST


def is_done(name: str, method: Method | None, case: Case, setting: Setting, unlike: list[str]) -> bool:
    """Whether a case has its record; one that is of something else is named in ``unlike``."""
    path = record_file(setting.out, name, case.fixed.name, case.moving.name)
    if not path.exists():
        return False
    wanted, found = blank_record(name, method, case, setting), read_record(path)
    if found.inputs != wanted.inputs:
        unlike.append(f"{path} (of other images, masks or landmarks, or made ready otherwise)")
    elif found.settings != wanted.settings:
        unlike.append(f"{path} (of another version, other settings, threads or device)")
    return found.error is None


def run_jobs(jobs: Iterable[Job], workers: int, listener: Listener) -> None:
    """Do all jobs, some side by side, until each case has its record.

    A process that crashes costs the case that it was at, which gets a record that says so; the others go on in a new
    one. Whatever ends this function, Ctrl-C too, ends its processes first; every record is whole or not there.

    Raises:
        OutputError: Records can't be written.
    """
    waiting, running = deque(jobs), dict[Connection, Running]()
    missing: set[str] = set()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.popleft()
                if job.name in missing:
                    listener.missing(job.name, "", len(job.cases))
                    continue
                connection, started = begin(job)
                running[connection] = started
            for connection in wait(list(running)) if running else ():  # to wait for none would never end
                assert isinstance(connection, Connection)
                if heard(connection, running[connection], listener, missing):
                    continue
                waiting.extendleft(ended(running.pop(connection), connection, listener, missing))
    finally:
        for left in running.values():
            left.process.terminate()
            left.process.join()


def begin(job: Job) -> tuple[Connection, Running]:
    """Start a job in a fresh process, with its threads said before it loads any library."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(job, its), name=job.name, daemon=True)
    with environment(dict.fromkeys(THREAD_VARIABLES, str(job.setting.threads))), deaf_to_interrupts():
        process.start()
    its.close()
    return ours, Running(job, process)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started inside don't hear Ctrl-C in the terminal: this one ends them, in its own time."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def heard(connection: Connection, running: Running, listener: Listener, missing: set[str]) -> bool:
    """Take a job's next message; False where there won't be any more.

    Raises:
        OutputError: The job can't write.
    """
    try:
        word, content = connection.recv()
    except (EOFError, OSError):
        return False
    job = running.job
    if word == BEGUN:
        running.number = content
        listener.begun(job.name, job.cases[content])
    elif word == DONE:
        assert running.number is not None, "a case begins before it is done"
        listener.done(job.name, job.cases[running.number], content)
        running.number, running.finished = None, running.number + 1
    elif word == MISSING:
        missing.add(job.name)
        running.finished = len(job.cases)
        listener.missing(job.name, content, len(job.cases))
    elif word == STOP:
        raise OutputError(content)
    return True


def ended(running: Running, connection: Connection, listener: Listener, missing: set[str]) -> list[Job]:
    """After a process has ended: what it left undone, without the case at which it crashed."""
    connection.close()
    running.process.join()
    job, rest = running.job, running.job.cases[running.finished :]
    if not rest:
        return []
    error = f"the process ended: {in_words(running.process.exitcode or 0)}"
    if running.number is None:  # before any case: it would do so again
        missing.add(job.name)
        listener.missing(job.name, error, len(rest))
        return []
    case, rest = rest[0], rest[1:]
    write_record(job.setting.out, replace(blank_record(job.name, job.method, case, job.setting), error=error))
    listener.done(job.name, case, error)
    return [replace(job, cases=rest)] if rest else []
