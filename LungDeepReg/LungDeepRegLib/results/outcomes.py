"""A registration as it is shown to people: all images that come out of it, and the figures."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ..metrics import jacobian_determinant
from ..outcome import Outcome
from ..registration import Registration
from ..volume import Volume
from .evaluation import evaluate
from .folder import origins, pair_of, run_of
from .images import by_world_identity, difference, stored
from .output_files import remarks
from .summary import summary


def outcome(
    registration: Registration,
    fixed: Volume,
    moving: Volume,
    *,
    given: dict[str, bool],
    weights: str,
    started: float,
) -> Outcome:
    """Measure a registration and make what is shown of it.

    Args:
        registration: What :func:`registration.register` found.
        fixed: The image that stayed.
        moving: The image that was deformed.
        given: For ``fixed`` and ``moving`` whether the lung mask was given, for the summary.
        weights: Which network was used, for the summary.
        started: When everything began, by ``time.perf_counter``.
    """
    began = time.perf_counter()
    pair, phi = pair_of(fixed, moving, registration), registration.field
    warped = stored(registration.warped, moving.array.dtype)
    unmoved, reached = by_world_identity(pair)
    before = difference(pair, stored(unmoved, moving.array.dtype), reached)
    after = difference(pair, warped, registration.covered)
    evaluation = evaluate(pair, phi, covered=registration.covered, alignment=registration.alignment.matrix)
    masks = origins(pair, fixed_given=given["fixed"], moving_given=given["moving"])
    run = run_of(pair, registration, masks, {"weights": weights})
    now = time.perf_counter()
    run = replace(
        run,
        seconds={**registration.seconds, "measure": now - began},
        seconds_total=now - started,
        warnings=(*run.warnings, *remarks(pair, registration.covered)),
    )
    return Outcome(
        field=phi,
        warped=warped,
        coverage=marked(registration.covered, fixed, f"{moving.name} coverage"),
        difference=after,
        difference_before=before,
        jacobian=Volume(jacobian_determinant(phi), phi.lattice.ijk_to_ras, "jacobian"),
        fixed_lungs=None if pair.fixed_mask is None else marked(pair.fixed_mask, fixed, f"{fixed.name} lungs"),
        summary=summary(evaluation, run),
    )


def marked(mask: np.ndarray, image: Volume, name: str) -> Volume:
    """A bool array on an image's voxels as labels, uint8."""
    return image.with_array(mask.astype(np.uint8), name)
