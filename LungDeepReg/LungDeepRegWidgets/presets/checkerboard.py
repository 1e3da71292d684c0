"""Checkerboard: fixed and deformed image in squares; edges go on across them where the images match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import vtk
from LungDeepRegLib.mrml.volumes import NodeError
from slicer.i18n import tr as _

from .colors import GREY, display, evenTable
from .lungs import viewOf, windows
from .preset import Preset
from .stage import FOUR_UP, Stage

SQUARES = 8
"""Along the longest side of the image."""


class Checkerboard(Preset):
    """Cubes of both images in turn, as one temporary volume.

    Slice views can't mix two volumes by squares, so one is made: 0.2 s for 512x512x300 voxels of 16 bits.

    Args:
        stage: The views.
        nodes: The result.
        squares: Along the longest side of the image.
    """

    NEEDS: ClassVar = ("fixed", "moving", "warped")

    def __init__(self, stage: Stage, nodes: Any, squares: int = SQUARES) -> None:
        super().__init__(stage, nodes)
        self.squares = squares
        self._board: Any = None

    def show(self) -> None:
        """Take the views."""
        self.stage.open(FOUR_UP)
        window, movingWindow = windows(self.nodes.fixed, self.nodes.moving)
        self._windows = window, movingWindow
        warped = viewOf(self.nodes.warped)
        name = _("{fixed} and {warped} checkerboard").format(
            fixed=self.nodes.fixed.GetName(), warped=self.nodes.warped.GetName()
        )
        image = vtk.vtkImageData()
        image.SetDimensions(*warped.array.shape[::-1])
        image.AllocateScalars(self.nodes.fixed.GetImageData().GetScalarType(), 1)
        self._board = self.stage.nodes.volume(name, image, warped.ijk_to_ras)
        self._mix()
        display(self.stage.nodes, self._board, evenTable(self.stage.nodes, "gray", GREY), window)
        self.stage.show(self.stage.slices(), self._board)
        self.stage.dimOutside(self.nodes.coverage)
        self.stage.placeAtLungs(self.nodes.fixed)
        self.stage.showSlicesIn3D(self._board)

    def setSquares(self, squares: int) -> None:
        """How many squares along the longest side."""
        self.squares = squares
        self._mix()

    @classmethod
    def purpose(cls) -> str:
        """What it is good for, as a tooltip."""
        return _("Fixed and deformed volume in squares: edges go on where they match")

    def note(self) -> str:
        """How to read it."""
        return _("Fixed and deformed volume in turn: edges go on from square to square where they match.")

    def _mix(self) -> None:
        fixed, warped = viewOf(self.nodes.fixed), viewOf(self.nodes.warped)
        if fixed.array.shape != warped.array.shape:
            msg = (
                f"{warped.name}: found {warped.array.shape} voxels, expected those of {fixed.name}: {fixed.array.shape}"
            )
            raise NodeError(msg)
        spacing = fixed.lattice.spacing_mm[::-1]
        side = (spacing * fixed.array.shape).max() / self.squares
        voxels = np.maximum(1, np.round(side / spacing)).astype(int)
        board = viewOf(self._board).array
        own, other = self._windows
        mix(board, fixed.array, warped.array, voxels, lambda block: matched(block, other, own, board.dtype))
        self._board.GetImageData().GetPointData().GetScalars().Modified()
        self._board.GetImageData().Modified()


def matched(array: np.ndarray, window: tuple[float, float], wanted: tuple[float, float], dtype: np.dtype) -> np.ndarray:
    """Values in another type, those of one window brought to another; the array itself if nothing changes."""
    if window == wanted:
        return array.astype(dtype, copy=False)
    scale = (wanted[1] - wanted[0]) / (window[1] - window[0])
    scaled = array.astype(np.float32)
    scaled -= window[0]
    scaled *= scale
    scaled += wanted[0]
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        np.rint(scaled, out=scaled)
        np.clip(scaled, limits.min, limits.max, out=scaled)
    return scaled.astype(dtype)


def mix(
    board: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    voxels: np.ndarray,
    reading: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Fill an array ``(K, J, I)`` by two others in blocks of so many voxels; the first is at the corner.

    The second one's values are read anew, block by block: a whole image of floats would take five times as long.
    """
    board[...] = first
    starts = [range(0, extent, int(size)) for extent, size in zip(first.shape, voxels, strict=True)]
    for row, k in enumerate(starts[0]):
        for column, j in enumerate(starts[1]):
            for i in starts[2][(row + column + 1) % 2 :: 2]:
                block = tuple(slice(a, a + int(size)) for a, size in zip((k, j, i), voxels, strict=True))
                board[block] = reading(second[block])
