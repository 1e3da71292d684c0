"""The worker process as the face sees it: started, listened to, and ended, with all that it leaves behind."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from .messages import REQUESTS, GrowingFile, from_line, to_line

if sys.platform != "win32":
    import fcntl

PACKAGE = "LungDeepRegLib"
HOME = Path(__file__).parents[2]
"""The folder that holds the engine."""
PREFIX = "LungDeepReg-"
FORGOTTEN_SECONDS = 600.0
"""A folder of a face that is gone is left to its worker for so long."""


class Process:
    """One worker process and its folder.

    The interpreter may be a launcher (Slicer's PythonSlicer is one) that starts the real one as its child: then
    ``pid`` is the child's, as soon as it has told it. Whether a launcher passes standard input on isn't certain on all
    systems, hence requests go through a file; the input is there to end, and to tell by a first line that it will.

    Args:
        python: The interpreter.
        environment: Its environment variables.
        parent: Where its folder is made, readable for this user only.

    Raises:
        OSError: No such interpreter, or a folder that can't be made.
    """

    def __init__(self, python: str | Path, environment: Mapping[str, str], parent: str | Path | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            self.launched = self._launched(python, environment)
        except OSError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.pid = self.launched.pid
        assert self.launched.stdin is not None
        with suppress(OSError):  # it is gone already, which its exit code says
            self.launched.stdin.write(b"hello\n")
            self.launched.stdin.flush()
        self.requests = (self.folder / REQUESTS).open("ab", buffering=0)
        claim(self.requests)
        self.messages = GrowingFile(self.folder / "messages")
        self.log = GrowingFile(self.folder / "log")

    def _launched(self, python: str | Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        paths = [str(HOME), environment.get("PYTHONPATH", "")]
        variables = {
            **environment,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONUTF8": "1",
            "PYTHONSAFEPATH": "1",  # nothing is imported from the current folder, whatever that is
        }
        command = [str(python), "-m", f"{PACKAGE}.worker", str(self.folder), str(os.getpid())]
        with (self.folder / "messages").open("ab") as messages, (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=messages,
                stderr=log,
                env=variables,
                creationflags=quiet_flags(),
                start_new_session=True,  # what ends the face at a terminal must leave the worker time to clear up
            )

    def tell(self, message: dict[str, Any]) -> None:
        """Send a line.

        Raises:
            OSError: A full disk.
        """
        line = b"\n" + to_line(message)  # the line before may have been cut off
        if self.requests.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def heard(self) -> list[dict[str, Any]]:
        """Messages that are new; what isn't one counts as a line of the log."""
        messages = []
        for line in self.messages.new_lines():
            message = from_line(line)
            if message is None:
                self.log.insert(line)
            elif message["event"] == "started":
                self.pid = message["pid"]
            else:
                messages.append(message)
        return messages

    def exit_code(self) -> int | None:
        """The exit code (negative: the signal's number) once the process has ended, otherwise None."""
        return self.launched.poll()

    def kill(self) -> None:
        """Close its input, and kill it and its launcher at once; returns before they are gone."""
        self.heard()  # it may just have told its number
        with suppress(OSError):  # if it hasn't yet, it finds this as soon as it runs
            self.tell({"event": "end"})
        if self.launched.poll() is None:  # otherwise that number may be another process' by now
            if self.pid != self.launched.pid:
                kill_at_once(self.pid)
            self.launched.kill()
        self.close_input()

    def close_input(self) -> None:
        """Let it end by itself."""
        assert self.launched.stdin is not None
        with suppress(OSError):  # what wasn't sent yet can't be sent to one that is gone
            self.launched.stdin.close()

    def cleared(self) -> bool:
        """Remove one more file of a process that was ended; whether everything is gone. For calling again and again."""
        if self.launched.poll() is None:
            return False
        for file in (self.messages, self.log, self.requests):
            file.close()
        return remove_a_file(self.folder)


def quiet_flags() -> int:
    """On Windows: no console window, and a lower priority than the face's."""
    if sys.platform != "win32":
        return 0
    return subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS


def kill_at_once(pid: int) -> None:
    """Kill a process of this user's, if it is still there."""
    with suppress(OSError):
        # On Windows any signal but two ends a process at once.
        os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def remove_a_file(folder: Path) -> bool:
    """Remove one file of a folder, or empty folders; whether the folder is gone.

    Large files take a while to remove, hence one at a time. What is still in use is left for the next call.
    """
    for path in sorted(folder.rglob("*"), reverse=True):
        try:
            if not path.is_dir():
                path.unlink(missing_ok=True)
                return False
            path.rmdir()
        except OSError:
            return False
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def claim(requests: FileIO) -> None:
    """Show that a folder's face is there, as long as it is; on Windows the open file shows that by itself."""
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without locks
            fcntl.flock(requests, fcntl.LOCK_EX | fcntl.LOCK_NB)


def clear_left_over(parent: Path) -> None:
    """Remove the folders of faces that are gone and whose worker couldn't do it, since it was killed as well."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, in use, or just removed
            if (folder / "messages").stat().st_mtime < time.time() - FORGOTTEN_SECONDS:
                shutil.rmtree(unclaimed(folder), ignore_errors=True)


def unclaimed(folder: Path) -> Path:
    """A folder that no face uses; on Windows it has another name then.

    Raises:
        OSError: One does.
    """
    if sys.platform != "win32":
        if (folder / REQUESTS).exists():
            with (folder / REQUESTS).open("ab") as requests:
                fcntl.flock(requests, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return folder
    return folder.rename(f"{folder}-gone")  # which fails while a file in it is open


def in_words(code: int) -> str:
    """What an exit code (see :meth:`Process.exit_code`) says, for the user."""
    number = -code if code < 0 else code - 128  # launchers and shells give 128 and the signal's number
    if code < 0 or (sys.platform != "win32" and 128 < code < 160):
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        killed = name == "SIGKILL" and sys.platform == "linux"
        return f"it was stopped by {name}" + (", probably because the computer ran out of memory" if killed else "")
    if code > 0xFFFF:  # Windows: how it crashed
        return f"it crashed with code {code:#x}"
    return f"it ended with exit code {code}"
