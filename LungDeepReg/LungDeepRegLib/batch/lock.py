"""One program at a time in a folder, without a trace when it ends, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..results.staging import OutputError

LOCK = ".lock"
"""A file that is there while a batch is at work, on Windows only."""


@contextmanager
def sole_use(folder: Path) -> Iterator[str]:
    """Keep other batches out of a folder.

    Yields:
        Why they can't be kept out, where the file system has no locks (some network drives); otherwise nothing.

    Raises:
        OutputError: Another batch is at work there.
    """
    try:
        handle = locked(folder)
    except (BlockingIOError, FileExistsError) as error:
        msg = f"{folder}: another batch is at work in this folder; wait for it, or choose another --out"
        if isinstance(error, FileExistsError):
            msg += f". After a power failure, remove {folder / LOCK}"
        raise OutputError(msg) from error
    except OSError as error:
        yield f"{folder} can't be locked ({error.strerror or error}): take care that no other batch works in it"
        return
    try:
        yield ""
    finally:
        os.close(handle)


def locked(folder: Path) -> int:
    """A file descriptor that holds the lock until it is closed, or until this process ends."""
    if sys.platform == "win32":
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_TEMPORARY  # Windows removes it with the process
        return os.open(folder / LOCK, flags)
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
