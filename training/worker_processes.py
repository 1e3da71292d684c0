"""Work on many patients, in processes side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import torch

from .errors import TrainingError


class WorkersError(TrainingError):
    """No process to do the work."""


@contextmanager
def mapped(workers: int) -> Iterator[Callable]:
    """``map``, over processes of one thread each if there are to be several; what isn't begun when it ends isn't done.

    Raises:
        WorkersError: Fewer than one worker.
    """
    if workers < 1:
        msg = f"found {workers} workers, expected 1 or more"
        raise WorkersError(msg)
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
