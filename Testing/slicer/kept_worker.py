"""One worker process for the tests that register: loading PyTorch takes longer than what most of them ask for."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class KeptWorker:
    """Lends a worker that has nothing to do, and takes it back in the same state.

    A test that ends it, kills it or leaves it computing leaves none behind: the next one starts its own.
    """

    def __init__(self) -> None:
        self._worker = None

    @contextmanager
    def lent(self, runner) -> Iterator[None]:
        """Give the worker to a module's task runner, which hasn't run anything yet, for the time of a test."""
        runner._worker, self._worker = self._worker, None
        try:
            yield
        finally:
            if reusable(runner._worker):
                runner._timer.stop()
                self._worker, runner._worker = runner._worker, None

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()


def reusable(worker) -> bool:
    """Whether a worker is there, lives and computes nothing."""
    return (
        worker is not None and not worker.busy and worker._process is not None and worker._process.exit_code() is None
    )


@pytest.fixture(scope="session")
def kept_worker() -> Iterator[KeptWorker]:
    kept = KeptWorker()
    yield kept
    kept.close()
