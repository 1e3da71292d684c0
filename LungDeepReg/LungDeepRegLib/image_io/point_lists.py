"""What files of points hold besides their places: a description and a lock for each."""

from __future__ import annotations

from dataclasses import dataclass

from ..landmarks import Landmarks


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
