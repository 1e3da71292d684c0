"""3x3x3 convolutions with fewer multiplications than their definition has: minimal filtering.

Winograd's algorithms as Lavin and Gray use them for networks (2016, arXiv 1509.09308), nested along two of the three
axes and with dilations. Along the lines of voxels (i) the three taps are multiplied as they are, which costs less than
it saves: there are no tiles to cut along them, and the matrix products are large.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TAPS = 3
TILE = 4
"""Results along each of the two axes that are had at once."""
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
"""Where polynomials are evaluated: rounding is 0.7 of that with the usual 0, +-1, +-2, and matrices fit bfloat16."""
GATHERED_AT_ONCE = 2**22
"""Numbers of tiles that are worked on at once: few enough for the processor's cache."""
INPUT_COST, OUTPUT_COST = 250, 150
"""What a number costs on its way into tiles and out of them, in multiplications of the matrix products (measured)."""


class WinogradConvolution:
    """A convolution of one image, some planes at a time, with zeros around it.

    Args:
        weight: ``(O, C, 3, 3, 3)``.
        dilation: In voxels.
        shape: ``(K, J, I)`` of the image.
        dtype: In which the products are taken. Rounding errors are 6 times those of the definition.

    Attributes:
        planes: How many planes of results a call gives.
    """

    def __init__(self, weight: Tensor, dilation: int, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        _, height, width = shape
        self.dilation, self.planes = dilation, TILE * dilation
        results, kernel, tiles = (matrix.to(weight.device) for matrix in minimal_filtering())
        self.to_tiles, self.from_tiles = torch.kron(tiles, tiles).to(dtype), torch.kron(results, results).to(dtype)
        products = torch.kron(kernel, kernel).float() @ weight.float().permute(2, 3, 0, 1, 4).flatten(0, 1).flatten(1)
        kernels = products.unflatten(1, (*weight.shape[:2], 1, TAPS)).to(dtype)  # one (O, C, 1, 3) for each place
        self.kernels = [kernel.contiguous(memory_format=torch.channels_last) for kernel in kernels]
        columns = -(-height // self.planes)
        per_column = len(self.to_tiles) * dilation**2 * width * weight.shape[1]
        self.groups = min(columns, -(-columns * per_column // GATHERED_AT_ONCE))
        self.columns = -(-columns // self.groups)

    def __call__(self, image: Tensor, start: int) -> Tensor:
        """Planes of the result.

        Args:
            image: ``(K, J, I, C)``.
            start: The first plane that is wanted.

        Returns:
            ``(P, J, I, O)``, P being ``planes`` or what is left of them.
        """
        depth, height, width, _ = image.shape
        rows = self.columns * self.planes
        out = image.new_empty((self.planes, self.groups * rows, width, len(self.kernels[0])), dtype=self.to_tiles.dtype)
        for first in range(0, height, rows):
            seen = self._gathered(image, start, first)
            self._multiply(seen, out[:, first : first + rows])
        return out[: depth - start, :height]

    def _gathered(self, image: Tensor, start: int, first: int) -> Tensor:
        """What some columns of tiles see, from plane ``start`` and row ``first`` on: ``(place, ..., I, C)``."""
        d, t, n = self.dilation, TILE, TILE + TAPS - 1
        seen = part_with_zeros(image, start - d, (t + 2) * d, first - d, (self.columns * t + 2) * d)
        plane, row, voxel, channel = seen.stride()
        size = n, n, d, self.columns, d, *seen.shape[2:]  # tiles of one column overlap, and those of all residues
        windows = seen.as_strided(size, (d * plane, d * row, plane, t * d * row, row, voxel, channel))
        return windows.to(self.to_tiles.dtype, memory_format=torch.contiguous_format, copy=True).flatten(0, 1)

    def _multiply(self, seen: Tensor, out: Tensor) -> None:
        """Write the results ``(P, rows, I, O)`` of what :meth:`_gathered` gave."""
        d, t = self.dilation, TILE
        tiles = (self.to_tiles @ seen.flatten(1)).view_as(seen).flatten(1, 3).permute(0, 3, 1, 2)
        products = torch.stack(
            [
                functional.conv2d(tile[None], kernel, padding=(0, d), dilation=(1, d)).permute(0, 2, 3, 1)
                for tile, kernel in zip(tiles, self.kernels, strict=True)
            ]
        )
        results = (self.from_tiles @ products.flatten(1)).view(t, t, d, self.columns, d, *out.shape[2:])
        out.unflatten(1, (self.columns, t, d)).unflatten(0, (t, d)).copy_(results.permute(0, 2, 3, 1, 4, 5, 6))


def pays(weight: Tensor, dilation: int, shape: tuple[int, int, int]) -> bool:
    """Whether tiles take less work than the convolution's definition, see :class:`WinogradConvolution`."""
    filters, channels = weight.shape[:2]
    size = TILE * dilation
    filled = shape[0] / (-(-shape[0] // size) * size) * shape[1] / (-(-shape[1] // size) * size)
    within = TAPS * channels * filters + INPUT_COST * channels + OUTPUT_COST * filters
    return (TILE + TAPS - 1) ** 2 / TILE**2 * within / filled < TAPS**3 * channels * filters


def minimal_filtering() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices A, G and B with ``A ((G g) * (B d))`` = the 3-tap filter g along d: 4 results by 6 multiplications.

    Returns:
        A ``(4, 6)``, G ``(6, 3)`` and B ``(6, 6)``, in float64.
    """
    count = TILE + TAPS - 1
    points = torch.tensor(POINTS, dtype=torch.float64)[:, None]
    # Polynomials at the points and, as the last row, at infinity: their highest coefficient.
    a, g = (torch.cat([points ** torch.arange(n), torch.eye(n, dtype=torch.float64)[-1:]]) for n in (TILE, TAPS))
    equations = (a.T[:, None] * g.T).flatten(0, 1)
    shifted = torch.stack([torch.eye(count, dtype=torch.float64)[o + q] for o in range(TILE) for q in range(TAPS)])
    b = torch.linalg.lstsq(equations, shifted).solution
    b = torch.where(b.abs() > 1e-9, b, 0)  # what should be zero is, and small numbers stay exact in 8 bits
    smallest = b.abs().where(b != 0, torch.inf).amin(1, keepdim=True)
    return a.T, g * smallest, (b / smallest * 1024).round() / 1024


def part_with_zeros(image: Tensor, plane: int, planes: int, row: int, rows: int) -> Tensor:
    """Some planes and rows of ``(K, J, I, C)``, with zeros beyond the image; a view where it needs none."""
    depth, height = image.shape[:2]
    inner = image[max(plane, 0) : plane + planes, max(row, 0) : row + rows]
    missing = max(-row, 0), max(row + rows - height, 0), max(-plane, 0), max(plane + planes - depth, 0)
    return functional.pad(inner, (0, 0, 0, 0, *missing)) if any(missing) else inner
