"""The loop of the worker process: a request in, an answer or an error out."""

from __future__ import annotations

import gc
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import torch

from .devices import set_threads, usable_devices
from .exchange import Packing, load
from .tasks import Tasks

Say = Callable[[dict[str, Any]], None]
Progress = Callable[[str, float], None]
Task = Callable[[dict[str, Any], Progress], Any]
LEAST_SECONDS_BETWEEN = 0.05
IDLE_SECONDS_ON_GPU = 300.0
"""A process that has used a GPU holds some of its memory as long as it lives, hence not for ever."""
NOT_ENOUGH = ("not enough memory", "out of memory", "DefaultCPUAllocator")


def serve(requests: SimpleQueue[dict[str, Any]], say: Say, further_tasks: Mapping[str, Task], folder: Path) -> int:
    """Load what every job needs, say that all is ready, and do job after job.

    Args:
        requests: Each with ``job``, ``task`` and ``folder``.
        say: Takes a message to the face.
        further_tasks: Beside those of :mod:`tasks`.
        folder: Of this process; the face writes requests to it before it tells them.

    Returns:
        The exit code, once a GPU has been idle for long or has failed; without a GPU never.
    """
    threads = set_threads()
    devices, warnings = usable_devices()
    engine = Tasks(devices, list(warnings))
    warnings += engine.load_early()
    tasks: dict[str, Task] = {**engine.table(), **further_tasks}
    ready = {"torch": str(torch.__version__), "threads": threads, "devices": devices, "warnings": warnings}
    say({"event": "ready", **ready})
    idle_seconds = IDLE_SECONDS_ON_GPU if "cuda" in devices else None
    while True:
        try:
            request = requests.get(timeout=idle_seconds)
        except Empty:
            if any(folder.glob("job-*/request")):
                continue
            return 0
        do(request, tasks, say)
        try:
            free_the_gpu(engine)
        except RuntimeError:  # it failed, or went away in the computer's sleep: only a fresh process can use it again
            traceback.print_exc()
            return 1


def free_the_gpu(engine: Tasks) -> None:
    """Give the GPU's memory back.

    Raises:
        RuntimeError: The GPU has failed, be it in the job before.
    """
    engine.leave_the_gpu()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def do(request: dict[str, Any], tasks: Mapping[str, Task], say: Say) -> None:
    """Do one job: say how far it is, and at last that it is done or why it failed."""
    job, folder = request["job"], Path(request["folder"])
    progress = reporter(job, say)
    try:
        answer = tasks[request["task"]](received(folder / "request"), progress)
        hand_over(answer, folder / "answer", progress)
    except Exception as error:
        reason = reason_of(error)
        if reason != "input":
            traceback.print_exc()
        say({"event": "failed", "job": job, "reason": reason, "message": explained(error, reason)})
    else:
        say({"event": "done", "job": job})


def received(folder: Path) -> dict[str, Any]:
    """A request; its files are removed, since they may be large."""
    request = load(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return request


def hand_over(answer: Any, folder: Path, progress: Progress) -> None:
    """Write an answer."""
    packing = Packing(answer, folder)
    written = 0
    progress("answer", 0.0)
    for size in packing.written():
        written += size
        progress("answer", written / packing.total_bytes)
    progress("answer", 1.0)


def reporter(job: int, say: Say) -> Progress:
    """Takes progress to the face, about 20 times a second at most; the beginning and end of a stage always."""
    last = ("", -1.0, 0.0)

    def progress(stage: str, fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        edge = fraction in (0, 1) and (stage, fraction) != last[:2]
        if edge or stage != last[0] or now - last[2] >= LEAST_SECONDS_BETWEEN:
            last = (stage, fraction, now)
            say({"event": "progress", "job": job, "stage": stage, "fraction": fraction})

    return progress


def reason_of(error: Exception) -> str:
    """What kind of failure an error is, one of :data:`messages.REASONS`.

    Errors that the engine defines are about what it was given, and their texts are for the user.
    """
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(part in text for part in NOT_ENOUGH)):
        return "memory"
    ours = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
    return "input" if ours or isinstance(error, OSError) else "defect"


def explained(error: Exception, reason: str) -> str:
    """What to tell the user."""
    if reason == "memory":
        return f"There isn't enough memory for images of this size ({str(error).partition('.')[0]})."
    return str(error) if reason == "input" else f"{type(error).__name__}: {error}"
