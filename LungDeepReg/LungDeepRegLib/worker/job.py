"""A job as the face sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .exchange import Packing, Reading


@dataclass
class Job:
    """A job that isn't over: where everything of it lies, and what is passed at the moment.

    Attributes:
        number: Its own.
        task: What it is.
        folder: Of its request and its answer.
        request: What is to be passed to the process.
        answer: What comes from it.
        passing: The steps of whichever of both is on its way; None while the process computes.
        passed_bytes: Of that, so far.
        sent: Whether the process knows of the job.
    """

    number: int
    task: str
    folder: Path
    request: Packing
    answer: Reading
    passing: Iterator[int] | None
    passed_bytes: int = 0
    sent: bool = False
