"""What the worker process says, a line of JSON each, and what the face makes of it."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = {
    "register": ("send", "prepare", "align", "network", "refine", "warp", "measure", "answer"),
    "warp": ("send", "warp", "answer"),
    "phantom": ("send", "phantom", "answer"),
    "phase": ("send", "prepare", "align", "network", "refine", "warp", "measure", "answer"),
    "candidates": ("send", "candidates", "answer"),
    "propose": ("send", "propose", "answer"),
    "assess": ("send", "prepare", "align", "network", "refine", "warp", "assess", "answer"),
}
"""The stages that each task's progress goes through, in this order; a stage that isn't needed is left out."""

KINDS = ("ready", "progress", "log", "done", "failed", "ended")
REASONS = ("start", "torch", "input", "memory", "defect")
REQUESTS = "requests"
"""The file in the process' folder through which it is given jobs, a line of JSON each."""
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Event:
    """Something that happened, in the order in which it did.

    Attributes:
        kind: ``ready`` (jobs start at once from now on), ``progress``, ``log`` (lines from the process, for reading),
            ``done`` (the answer is here, for :meth:`client.Worker.read_answer`), ``failed``, or ``ended`` (the process
            is gone without having been told to). After one of the last three the job is over.
        job: Which job, or None where it concerns none.
        stage: Of ``progress``: one of the task's :data:`STAGES`.
        fraction: Of ``progress``: how much of the stage is done, 0 to 1.
        message: Of ``log``, ``failed`` and ``ended``: for the user.
        reason: Of ``failed``: ``start`` (no process could be started), ``torch`` (PyTorch or NumPy can't be loaded),
            ``input`` (what was given can't be used: the message says what), ``memory``, or ``defect``.
    """

    kind: str
    job: int | None = None
    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    reason: str = ""


def to_line(message: dict[str, Any]) -> bytes:
    """A message as one line, in ASCII, so that no locale can spoil it."""
    return json.dumps(message).encode("ascii") + b"\n"


def from_line(line: str) -> dict[str, Any] | None:
    """The message of a line; None for anything else, such as what a library printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "event" in message else None


class GrowingFile:
    """The lines of a file that another process is still writing to; of a line that isn't whole yet the rest is awaited.

    Attributes:
        last: The last lines so far.
    """

    def __init__(self, path: Path, remembered: int = 20) -> None:
        self.file = path.open("rb")
        self.unfinished = b""
        self.inserted: list[str] = []
        self.last: deque[str] = deque(maxlen=remembered)

    def new_lines(self) -> list[str]:
        """Further whole lines, from at most :data:`CHUNK_BYTES`."""
        *whole, self.unfinished = (self.unfinished + self.file.read(CHUNK_BYTES)).split(b"\n")
        lines, self.inserted = [*self.inserted, *map(readable, whole)], []
        self.last.extend(lines)
        return lines

    def insert(self, line: str) -> None:
        """A line that belongs here too, although it was written elsewhere."""
        self.inserted.append(line)

    def everything_last(self) -> str:
        """The last lines, and what there is of an unfinished one."""
        return "\n".join(filter(None, [*self.last, *self.inserted, readable(self.unfinished)]))

    def close(self) -> None:
        """Read no further."""
        self.file.close()


def readable(line: bytes) -> str:
    """A line for people; bytes that aren't UTF-8 are shown as numbers."""
    return line.rstrip(b"\r").decode("utf-8", "backslashreplace")
