"""Weighted sums of similarity terms, and how they are written: ``lncc=1,mi=0.5``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .intensity import GlobalCorrelation, MeanSquaredError
from .local_correlation import LocalCorrelation
from .mind import MindSsc
from .mutual_information import MutualInformation
from .term import Objective, SimilarityError, Term
from .wavelet import WaveletMetric

TERMS: dict[str, type[Term]] = {
    term.name: term
    for term in (MeanSquaredError, GlobalCorrelation, LocalCorrelation, MutualInformation, WaveletMetric, MindSsc)
}


@dataclass(frozen=True)
class Similarity:
    """A weighted sum of terms. Lower is better.

    Attributes:
        terms: Each term with its weight, more than 0; no two of one name.

    Raises:
        SimilarityError: No term, a name twice, or a weight that isn't a positive number.
    """

    terms: tuple[tuple[Term, float], ...]

    def __post_init__(self) -> None:
        names = [term.name for term, _ in self.terms]
        if not names or len(set(names)) < len(names):
            msg = f"found the similarity terms {names}, expected at least one, and none twice"
            raise SimilarityError(msg)
        for term, weight in self.terms:
            if not (math.isfinite(weight) and weight > 0):
                msg = f"found the weight {weight} for {term.name}, expected a number above 0"
                raise SimilarityError(msg)

    def __str__(self) -> str:
        """As :func:`parse_similarity` reads it (terms' own settings are not part of it)."""
        return ",".join(f"{term.name}={weight!r}" for term, weight in self.terms)

    @property
    def pointwise(self) -> bool:
        """Whether all terms compare voxel by voxel, so that any list of voxels will do as an image."""
        return all(term.pointwise for term, _ in self.terms)

    def features(self, image: Tensor) -> Tensor:
        """What all terms need of images ``(B, 1, K, J, I)`` in [0, 1]: ``(B, C, K, J, I)``, the image at most once."""
        own = [term.features(image) for term, _ in self.terms if not term.on_image]
        maps = [image, *own] if self._uses_image else own
        return maps[0] if len(maps) == 1 else torch.cat(maps, 1)

    def against(self, fixed_features: Tensor, mask: Tensor | None = None) -> Objective:
        """The loss as a function of the warped features alone; what depends on the fixed image only is done here.

        Args:
            fixed_features: ``(B, C, K, J, I)`` from :meth:`features`.
            mask: Weights ``(B, 1, K, J, I)``, at least 0, or None for 1 everywhere.

        Raises:
            SimilarityError: Other shapes, negative weights, or no weight at all.
        """
        fixed_maps = self._split(fixed_features)
        objectives = [
            (weight, term.against(fixed_map, mask))
            for (term, weight), fixed_map in zip(self.terms, fixed_maps, strict=True)
        ]

        def objective(warped_features: Tensor) -> Tensor:
            warped_maps = self._split(warped_features)
            losses = [weight * loss(warped) for (weight, loss), warped in zip(objectives, warped_maps, strict=True)]
            return torch.stack(losses).sum()

        return objective

    def loss(self, fixed_features: Tensor, warped_features: Tensor, mask: Tensor | None = None) -> Tensor:
        """:meth:`against`, for a single comparison."""
        return self.against(fixed_features, mask)(warped_features)

    def __call__(self, fixed: Tensor, warped: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of two images ``(B, 1, K, J, I)`` in [0, 1]."""
        return self.loss(self.features(fixed), self.features(warped), mask)

    @property
    def _uses_image(self) -> bool:
        return any(term.on_image for term, _ in self.terms)

    def _split(self, features: Tensor) -> list[Tensor]:
        """The features of each term, in the terms' order."""
        sizes = [1] * self._uses_image + [term.channels for term, _ in self.terms if not term.on_image]
        if features.ndim != 5 or features.shape[1] != sum(sizes):
            msg = f"found features of shape {tuple(features.shape)}, expected (B, {sum(sizes)}, K, J, I) for {self}"
            raise SimilarityError(msg)
        maps = list(features.split(sizes, 1)) if len(sizes) > 1 else [features]
        image = maps.pop(0) if self._uses_image else features
        return [image if term.on_image else maps.pop(0) for term, _ in self.terms]


def parse_similarity(text: str) -> Similarity:
    """Read a similarity such as ``lncc=1,mi=0.5``; a name without a weight has the weight 1.

    Raises:
        SimilarityError: Unknown or repeated names, or weights that are not positive numbers.
    """
    return Similarity(tuple(_parse_term(part, text) for part in text.split(",")))


def _parse_term(part: str, text: str) -> tuple[Term, float]:
    name, equals, weight = (piece.strip() for piece in part.partition("="))
    if name not in TERMS:
        msg = f"found the similarity {name!r} in {text!r}, expected one of {', '.join(TERMS)}"
        raise SimilarityError(msg)
    try:
        return TERMS[name](), float(weight) if equals else 1.0
    except ValueError as error:
        msg = f"found the weight {weight!r} for {name} in {text!r}, expected a number above 0, as in {name}=0.5"
        raise SimilarityError(msg) from error
