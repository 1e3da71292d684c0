"""A case of a batch: one pair of images with what is known about them, and the name of its folder."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGES = ("fixed", "moving")
FILES = (*IMAGES, "fixed_mask", "moving_mask", "fixed_landmarks", "moving_landmarks")
SERIES = ("series_fixed", "series_moving")

LONGEST_NAME = 60
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any extension."""
DIGITS = 8


@dataclass(frozen=True)
class Case:
    """What is to be registered.

    Attributes:
        name: As the user calls it.
        folder: The name of its folder.
        origin: Where it is named, for messages: ``manifest.csv, line 3``.
        inputs: For each of FILES and SERIES the absolute path or the series, None where it isn't given.
        problem: Why it can't be registered, as far as that is known beforehand; otherwise nothing.
    """

    name: str
    folder: str
    origin: str
    inputs: Mapping[str, str | None]
    problem: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of a case.

    Attributes:
        summary: The content of its summary.json; None if it failed.
        error: Why it failed, one sentence that names file and line; otherwise nothing.
        seconds: How long it took; None where it wasn't measured.
        earlier: It was done before this batch began.
        trace: Where in the program an error came from.
    """

    summary: dict[str, Any] | None = None
    error: str = ""
    seconds: float | None = None
    earlier: bool = False
    trace: str = field(default="", repr=False)


def folder_name(name: str, reserved: Collection[str] = ()) -> str:
    """A folder's name that every system takes, for a case: its own if it is made of letters, digits and ``._-``.

    In any other name what is unsafe becomes ``_``, and digits from the whole name keep it apart from its like. It
    depends on nothing but the name, so that a case finds its folder again whatever else is in the manifest.

    Args:
        name: Of the case, not empty.
        reserved: Names that other things have in the same place, in lower case.
    """
    name = unicodedata.normalize("NFC", name)
    safe = UNSAFE.sub("_", name).lstrip(".-")[:LONGEST_NAME].rstrip(".")
    if safe == name and not DEVICES.fullmatch(name) and name.lower() not in reserved:
        return name
    if not safe or DEVICES.fullmatch(safe):
        safe = f"case_{safe}"
    return f"{safe}_{hashlib.sha256(name.encode()).hexdigest()[:DIGITS]}"
