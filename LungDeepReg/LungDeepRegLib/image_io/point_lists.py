"""What files of points hold besides their places: a description and a lock for each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..landmarks import Landmarks
from .files import writing


@dataclass(frozen=True, eq=False)
class PointList:
    """The points of a file.

    Attributes:
        landmarks: Where they are, and their labels.
        descriptions: A text for each, often empty.
        locked: Whether each is kept from being moved.
    """

    landmarks: Landmarks
    descriptions: tuple[str, ...]
    locked: tuple[bool, ...]

    @classmethod
    def plain(cls, landmarks: Landmarks) -> PointList:
        """Points of which nothing else is known."""
        return cls(landmarks, ("",) * len(landmarks), (False,) * len(landmarks))


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files in UTF-8, all of them or none: what stood there before stays until all are written.

    Raises:
        FileError: A full disk, a place that isn't writable.
    """
    unfinished: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            with writing(path):
                if path.is_dir():
                    msg = f"{path.name} is a folder"
                    raise OSError(msg)
                unfinished[path] = path.with_name(f".unfinished.{secrets.token_hex(4)}.{path.name}")
                unfinished[path].write_text(text, encoding="utf-8", newline="")
        for path, temporary in unfinished.items():
            with writing(path):
                temporary.replace(path)
    finally:
        for temporary in unfinished.values():
            temporary.unlink(missing_ok=True)
