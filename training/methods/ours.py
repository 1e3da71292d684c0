"""The product's own registration, whole and in parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import LungDeepRegLib
import torch
from LungDeepRegLib import __version__
from LungDeepRegLib.checkpoint import BUNDLED, Checkpoint, load_checkpoint
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.registration import Options, register

from .method import AlignedPair


@dataclass(frozen=True)
class Ours:
    """The engine's ``register`` on an aligned pair.

    Attributes:
        name: See :class:`Method`.
        title: See :class:`Method`.
        linear_branch: Whether the network's affine output takes part.
        refine: ``off``, ``fast`` or ``accurate``.
        weights: The network's checkpoint, or None for no network.
    """

    name: str
    title: str
    linear_branch: bool = True
    refine: str = Options.refine
    weights: Path | None = BUNDLED
    costly: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`Method`."""
        options = Options(linear_branch=self.linear_branch, refine=self.refine)
        return {
            "version": __version__,
            "code_sha256": engine_digest(),
            "weights_sha256": None if self.weights is None else sha256(self.weights.read_bytes()).hexdigest(),
            "linear_branch": options.linear_branch,
            "refine": options.refine,
            "similarity": options.similarity,
            "seed": options.seed,
        }

    def ready(self) -> None:
        """Read the network's weights."""
        checkpoint(self.weights)

    def __call__(self, pair: AlignedPair, threads: int, device: str = "cpu") -> DisplacementField:
        """See :class:`Method`."""
        torch.set_num_threads(threads)
        options = Options(
            modality=pair.modality,
            alignment="none",
            refine=self.refine,
            linear_branch=self.linear_branch,
            device=device,
        )
        masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
        # Without an alignment phi is the identity and v.
        return register(pair.fixed, pair.moving, options, checkpoint=checkpoint(self.weights), **masks).field


@lru_cache(maxsize=1)
def engine_digest() -> str:
    """Of the engine's code: results of two states of it under one version don't mix."""
    folder = Path(LungDeepRegLib.__file__).parent
    files = sorted(folder.rglob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@lru_cache(maxsize=1)
def checkpoint(weights: Path | None) -> Checkpoint | None:
    """The network in a file, read once."""
    return None if weights is None else load_checkpoint(weights)


def own_methods(weights: Path = BUNDLED) -> tuple[Ours, ...]:
    """Our rows of the tables, with the weights that ship or others."""
    return (
        Ours("network", "network, without linear branch", linear_branch=False, refine="off", weights=weights),
        Ours("network+linear", "network", refine="off", weights=weights),
        Ours("network+refine", "network, without linear branch, refined", linear_branch=False, weights=weights),
        Ours("network+linear+refine", "network, refined (LungDeepReg's default)", weights=weights),
        Ours("refine", "refinement alone", weights=None),
    )
