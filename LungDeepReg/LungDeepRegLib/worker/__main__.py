"""The worker process: ``python -m LungDeepRegLib.worker FOLDER``. Started by :mod:`client`, not by hand."""

from __future__ import annotations

import ctypes
import importlib
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from .messages import REQUESTS, GrowingFile, from_line, to_line
from .process import clear_left_over

NICENESS = 5
LISTENING_SECONDS = 0.02
LOOKING_SECONDS = 0.5
SYNCHRONIZE, INFINITE, INVALID_PARAMETER = 0x00100000, 0xFFFFFFFF, 87  # of Windows
Say = Callable[[dict[str, Any]], None]
Requests = queue.SimpleQueue[dict[str, Any]]


def main(folder: Path, face: int, further_tasks: Mapping[str, Callable[..., Any]] | None = None) -> int:
    """Load everything, then do one job after the other, until standard input or the face's process ends.

    Args:
        folder: Of this process; everything in it is removed at the end.
        face: The number of the face's process.
        further_tasks: Beside those of :mod:`tasks`.

    Returns:
        The exit code, where it can't even start.
    """
    say = messages_only_on_stdout()
    requests: Requests = queue.SimpleQueue()
    for run, arguments in (
        (end_with_input, (sys.stdin.buffer, folder)),
        (end_with_face, (face, folder)),
        (listen, (folder, requests)),
        (clear_left_over, (folder.parent,)),
    ):
        threading.Thread(target=run, args=arguments, daemon=True).start()
    say({"event": "started", "pid": os.getpid()})
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    try:
        check_libraries()
    except Exception as error:  # a half-installed library can raise nearly anything
        say({"event": "failed", "job": None, "reason": "torch", "message": f"{type(error).__name__}: {error}"})
        return 1
    from .server import serve  # not before it is known that torch can be loaded

    code = serve(requests, say, further_tasks or {}, folder)
    sys.stderr.flush()
    os._exit(code)  # at once: until this process is gone the face takes it for one that takes jobs


def messages_only_on_stdout() -> Say:
    """Keep standard output for messages; what a library prints goes to standard error from now on."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        line = to_line(message)
        while line:
            line = line[os.write(channel, line) :]

    return say


def listen(folder: Path, requests: Requests) -> None:
    """Take requests from the file that the face writes to; end with it, where the face couldn't kill this process."""
    path = folder / REQUESTS
    while not path.exists():
        if not folder.exists():
            end(folder)
        time.sleep(LISTENING_SECONDS)
    file = GrowingFile(path)
    while True:
        for request in filter(None, map(from_line, file.new_lines())):
            if request["event"] == "end":
                end(folder)
            requests.put(request)
        time.sleep(LISTENING_SECONDS)


def end_with_input(source: BinaryIO, folder: Path) -> None:
    """End this process with its standard input, unless that was never connected to the face."""
    if source.readline():
        source.read()
        end(folder)


def end_with_face(pid: int, folder: Path) -> None:
    """End this process when the face's has ended."""
    if sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(SYNCHRONIZE, False, pid)
        gone = not handle and ctypes.get_last_error() == INVALID_PARAMETER
        if gone or (handle and kernel.WaitForSingleObject(ctypes.c_void_p(handle), INFINITE) == 0):
            end(folder)
        return
    with suppress(ProcessLookupError, PermissionError):  # the number may be that of another user's process by now
        while True:
            os.kill(pid, 0)
            time.sleep(LOOKING_SECONDS)
    end(folder)


def end(folder: Path) -> None:
    """End this process at once, whatever it is doing, and leave nothing: the face is gone and can't clear up."""
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
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
