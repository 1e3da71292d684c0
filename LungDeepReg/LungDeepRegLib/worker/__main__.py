"""The worker process: ``python -m LungDeepRegLib.worker FOLDER``. Started by :mod:`client`, not by hand."""

from __future__ import annotations

import importlib
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from .messages import from_line, to_line

NICENESS = 5
Say = Callable[[dict[str, Any]], None]
Requests = queue.SimpleQueue[dict[str, Any]]


def main(folder: Path, further_tasks: Mapping[str, Callable[..., Any]] | None = None) -> int:
    """Load everything, then do what standard input asks for, until it ends.

    Args:
        folder: Of this process; everything in it is removed when standard input ends.
        further_tasks: Beside those of :mod:`tasks`.

    Returns:
        The exit code, where it can't even start.
    """
    say = messages_only_on_stdout()
    requests: Requests = queue.SimpleQueue()
    threading.Thread(target=listen, args=(sys.stdin.buffer, requests, folder), daemon=True).start()
    say({"event": "started", "pid": os.getpid()})
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    try:
        check_libraries()
    except Exception as error:  # a half-installed library can raise nearly anything
        say({"event": "failed", "job": None, "reason": "torch", "message": f"{type(error).__name__}: {error}"})
        return 1
    from .server import serve  # not before it is known that torch can be loaded

    return serve(requests, say, further_tasks or {})


def messages_only_on_stdout() -> Say:
    """Keep standard output for messages; what a library prints goes to standard error from now on."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        line = to_line(message)
        while line:
            line = line[os.write(channel, line) :]

    return say


def listen(source: BinaryIO, requests: Requests, folder: Path) -> None:
    """Take requests; end this process, whatever it is doing, once there can't be any more.

    Then the face was closed, or it crashed and can't remove the folder.
    """
    for line in source:
        request = from_line(line.decode("utf-8"))
        if request is not None:
            requests.put(request)
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.05)  # an answer was being written
    os._exit(0)


def check_libraries() -> None:
    """Load NumPy and PyTorch, and see that they are whole and fit each other; an error of theirs if not."""
    numpy, torch = (importlib.import_module(name) for name in ("numpy", "torch"))
    for library in (numpy, torch):
        if not hasattr(library, "__version__"):  # what a broken installation leaves behind can still be imported
            msg = f"{library.__name__} is only partly installed: {list(getattr(library, '__path__', []))}"
            raise ImportError(msg)
    # A PyTorch that was built for another NumPy says so here only.
    torch.from_numpy(numpy.zeros(2, numpy.float32)).add(1).numpy()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
