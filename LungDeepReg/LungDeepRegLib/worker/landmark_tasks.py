"""What the worker computes for a review by landmarks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..landmark_review.candidates import candidates
from ..landmark_review.proposal import propose
from ..lung_mask import mask_on
from ..registration import Progress

Request = dict[str, Any]


def find_candidates(request: Request, progress: Progress) -> Request:
    """Branchings of vessels where a review may begin.

    Args:
        request: ``volume``; ``lungs``: a list of what :func:`lung_mask.mask_on` takes, or None to find them; ``count``;
            optionally ``modality``.
        progress: Told the stage and its fraction.

    Returns:
        ``points``: ``[r, a, s]`` in mm each, the first few spread over the lungs, too; ``distinctiveness``: 0 to 1.

    Raises:
        VolumeError, LandmarkError: No lungs, or no branching in them.
    """
    progress("candidates", 0.0)
    volume, lungs = request["volume"], request.get("lungs")
    mask = None if lungs is None else mask_on(lungs, volume)
    found = candidates(volume, mask, request["count"], request.get("modality", "auto"))
    progress("candidates", 1.0)
    return {"points": found.landmarks.points_ras.tolist(), "distinctiveness": found.distinctiveness.tolist()}


def propose_points(request: Request, progress: Progress) -> Request:
    """Moving points for fixed ones, see :func:`proposal.propose`.

    Args:
        request: ``fixed`` and ``moving``: Volumes; ``field``: the DisplacementField; ``points``: ``[r, a, s]`` each in
            the fixed image; optionally ``modality``.
        progress: Told the stage and its fraction.

    Returns:
        ``points``: ``[r, a, s]`` each in the moving image; ``scores``.
    """
    progress("propose", 0.0)
    found = propose(
        request["fixed"],
        request["moving"],
        request["field"],
        np.array(request["points"]),
        modality=request.get("modality", "auto"),
        progress=partial(progress, "propose"),
    )
    progress("propose", 1.0)
    return {"points": found.points_ras.tolist(), "scores": found.scores.tolist()}
