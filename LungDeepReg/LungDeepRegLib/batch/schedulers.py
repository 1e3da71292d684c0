"""Who registers the cases: this process, one after the other, or the workers of a Dask cluster.

Dask (https://www.dask.org) is asked for only where it is used; without it everything works on one worker.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from .case import Answer, Case

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

INSTALL = 'pip install "dask[distributed]"'
RETRIES = 2
"""How often a case is begun anew whose worker died; on a cluster its scheduler does that, as often as it is set to."""
LOOK_SECONDS = 0.5
CONNECT_SECONDS, CLOSE_SECONDS = 20, 5
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class SchedulerError(RuntimeError):
    """Dask isn't there, its scheduler doesn't answer, or it went away."""


@dataclass(frozen=True)
class Job:
    """A case, and where its result goes.

    Attributes:
        case: What is to be registered.
        folder: The absolute path of its folder.
        overwrite: Replace what is in that folder.
    """

    case: Case
    folder: Path
    overwrite: bool = False


Work = Callable[[Job, int | None], Answer]
"""Registers a case with a number of threads (None: as the process is set); can be pickled, and raises no Exception."""

Answers = Generator[tuple[Job, Answer], None, None]


class Scheduler(Protocol):
    """Lets cases be registered."""

    def __call__(self, jobs: Sequence[Job], work: Work) -> Answers:
        """The answers, in the order in which they come. Closing the generator stops what is running."""


def one_by_one(jobs: Sequence[Job], work: Work) -> Answers:
    """In this process."""
    for job in jobs:
        yield job, work(job, None)


@dataclass(frozen=True)
class LocalWorkers:
    """As many processes on this computer, which share its cores.

    Attributes:
        count: How many.
    """

    count: int

    def __call__(self, jobs: Sequence[Job], work: Work) -> Answers:
        """As :class:`Scheduler`."""
        check_dask()
        count = max(1, min(self.count, len(jobs)))
        threads = max(1, cores() // count)
        with local_cluster(count, threads) as cluster, connected(cluster) as client:
            yield from answers(client, jobs, work, threads, RETRIES)


@dataclass(frozen=True)
class RemoteWorkers:
    """The workers of a Dask cluster, each with as many threads for a case as Dask gave it.

    Attributes:
        address: Of the scheduler, such as ``tcp://10.0.0.5:8786``.
    """

    address: str

    def __call__(self, jobs: Sequence[Job], work: Work) -> Answers:
        """As :class:`Scheduler`."""
        check_dask()
        with connected(self.address) as client:
            yield from answers(client, jobs, work, None, 0)


def check_dask() -> None:
    """Raise :class:`SchedulerError` where Dask is missing."""
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        msg = f"Dask isn't installed, which several workers need: {INSTALL}; --workers 1 works without it"
        raise SchedulerError(msg) from error


def cores() -> int:
    """The cores that this process may use; fewer where OMP_NUM_THREADS says so."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(found, int(wanted)) if wanted.isdigit() and int(wanted) > 0 else found


@contextmanager
def local_cluster(count: int, threads: int) -> Iterator[LocalCluster]:
    """Worker processes on this computer, each watched by a nanny that replaces it when it dies.

    Dask sets them no limit of memory: it would kill a worker that needs more than its share while others need less.
    """
    import dask
    from distributed import LocalCluster

    environment = dict.fromkeys(THREAD_VARIABLES, str(threads))
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, memory_limit=0, host="127.0.0.1",
            dashboard_address=None, silence_logs=logging.CRITICAL, env=environment,
        )  # fmt: skip
    try:
        yield cluster
    finally:
        stop(cluster)


def stop(cluster: LocalCluster) -> None:
    """End the workers at once, whatever they do; Dask alone would wait for them."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        process = getattr(nanny.process, "process", None)
        if process is not None and process.is_alive():
            cluster.sync(process.kill)
    cluster.close()


@contextmanager
def connected(where: LocalCluster | str) -> Iterator[Client]:
    """A client of a cluster.

    Raises:
        SchedulerError: Nobody answers at the address.
    """
    from distributed import Client

    logging.getLogger("distributed.batched").setLevel(logging.WARNING)  # it tells of its own end, with a traceback
    try:
        client = Client(where, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = f"{where}: no Dask scheduler answers there ({error or type(error).__name__})"
        raise SchedulerError(msg) from error
    try:
        yield client
    finally:
        client.close(timeout=CLOSE_SECONDS)


def answers(client: Client, jobs: Sequence[Job], work: Work, threads: int | None, retries: int) -> Answers:
    """Give each worker one case at a time, and yield the answers as they come.

    No more cases are given to Dask than there are workers, so that a worker which dies is held against its own case
    alone. That case comes again after all others, which may leave it more memory, as often as ``retries`` says.
    """
    waiting, running, deaths = deque(jobs), dict[Any, Job](), Counter[int]()
    try:
        while waiting or running:
            for _ in range(min(len(waiting), workers(client) - len(running))):
                job = waiting.popleft()
                call = pickle.dumps(Call(work, job, threads))
                running[client.submit(pickle.loads, call, key=f"register-{uuid4()}", pure=False)] = job
            for future in finished(client, list(running)):
                job, answer = running.pop(future), answer_of(future)
                deaths[id(job)] += answer is DIED
                if answer is DIED and deaths[id(job)] <= retries:
                    waiting.append(job)
                else:
                    yield job, answer
    finally:
        if running and client.status == "running":
            client.cancel(list(running), force=True)


def workers(client: Client) -> int:
    """How many workers there are now; one where there is none yet, so that a case waits for the first."""
    try:
        return max(1, len(client.nthreads()))
    except OSError as error:
        raise lost(error) from error


def finished(client: Client, futures: list[Future]) -> list[Future]:
    """Those that have ended, one way or the other; waits a while if there is none."""
    from distributed import CancelledError, wait

    with suppress(TimeoutError, CancelledError), client.as_current():
        wait(futures, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED")
    return [future for future in futures if future.done()]


DIED = Answer(error="its worker died each time it was begun (out of memory, or killed)")


def answer_of(future: Future) -> Answer:
    """What a worker answered, or why it couldn't.

    Raises:
        SchedulerError: The scheduler is gone.
    """
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except CancelledError as error:
        raise lost(error) from error
    except KilledWorker:
        return DIED
    except Exception as error:
        return Answer(
            error=f"its worker couldn't do it ({type(error).__name__}: {error}); it needs the same LungDeepReg as here"
        )


def lost(reason: object) -> SchedulerError:
    """The error for a scheduler that went away."""
    return SchedulerError(f"the Dask scheduler is gone ({reason}); the same command goes on where this one ended")


@dataclass(frozen=True)
class Call:
    """A call of :func:`in_worker`: unpickling it is the call.

    So Dask itself handles nothing but bytes. Its scheduler needs no LungDeepReg then, and a worker without it says so;
    given the function itself, that worker would die again and again, and the batch wait forever.
    """

    work: Work
    job: Job
    threads: int | None

    def __reduce__(self) -> tuple[Callable[..., Answer], tuple[Any, ...]]:
        """The call."""
        return in_worker, (self.work, self.job, self.threads)


ALONE = threading.Lock()
"""A worker with several threads may be given several cases; they would share torch's threads and random numbers."""


def in_worker(work: Work, job: Job, threads: int | None) -> Answer:
    """Register a case in the process of a Dask worker, with the threads that it was given."""
    from distributed import get_worker

    with ALONE:
        return work(job, threads or get_worker().state.nthreads)
