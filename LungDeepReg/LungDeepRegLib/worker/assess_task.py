"""What the worker finds out about a registration afterwards: trust and ventilation, place by place.

The answer of the task ``assess``, a dict. "The maps' lattice" is one lattice of about 3 mm around the fixed image's
lungs; every map on it is float32 and holds :data:`quality.NOT_MEASURED` outside the lungs and wherever nothing could
be measured (where the moving image doesn't cover the fixed one).

* ``maps``: ``residual`` (HU after density correction in CT, otherwise in percent of the fixed image's window),
  ``correlation`` (-1 to 1), ``consistency`` (mm, or None without a backward
  run) and ``trust`` (0 to 1): Volumes on the maps' lattice.
* ``ventilation``: ``jacobian`` and ``density`` (None but for two CTs): Volumes on the maps' lattice, 0.5 being a
  change of volume by half; without a sign where it isn't known which image is the inhaled one.
* ``regions``: Volume uint8 on the maps' lattice, label n being ``region_names[n - 1]``, 0 outside the lungs;
  ``region_names``: list of text, always the same (see :data:`assessment.NAMES`), though not every label need occur.
* ``region_figures``: a list of dicts, one for the lungs as a whole (``region`` is ``"Lungs"``), one for each lung
  (where there are two) and one for each third that there is: ``region`` (text), ``volume_ml``, and for ``residual``,
  ``correlation``, ``consistency_mm``, ``trust``, ``jacobian``, ``ventilation_jacobian``, ``ventilation_density`` and
  those of :func:`assessment.motion.motion_maps` each a dict with mean, sd, median, p5, p95, or None;
  ``low_trust_percent`` (trust below 0.5) and ``volume_change`` (of the region as a whole, by its mean Jacobian), or
  None.
* ``figures``: ``inverse_consistency_mm`` (as summary.json has it, or None), ``residual_unit`` (``HU`` or ``%``),
  ``residual_rms``, ``correlation_mean``, ``trust_mean``, ``low_trust_percent``, ``modality`` (``ct``, ``mri`` or
  None), ``inhale`` (``fixed``, ``moving`` or None).
* ``lungs``: Volume uint8 on the fixed image's voxels; ``backward``: DisplacementField (moving to fixed RAS mm) or None.
* ``warnings``: a list of sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..assessment import NAMES, Assessment, assess
from ..displacement_field import DisplacementField
from ..lung_mask import mask_on
from ..registration import Progress, Registration, read_image
from ..results.pair import Pair
from ..volume import Volume

Masks = dict[str, np.ndarray | None]
Register = Callable[[Volume, Volume, Masks, dict[str, Any], Progress], Registration]


def assess_registration(register: Register, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Find out how far a registration can be trusted, and how the lungs change.

    Args:
        register: Registers two images, given their masks, with a request's ``options`` and ``weights``.
        request: ``fixed``, ``moving``, ``fixed_mask``, ``moving_mask`` as for the task ``register``; ``field``: the
            DisplacementField; ``modality``: of :class:`registration.Options`; ``inhale``: ``fixed``, ``moving`` or
            None; ``backward``: whether to register the swapped pair too, with ``options`` and ``weights``, or
            ``backward_field``: that registration where it was made before, or None.
        progress: Told the stage and its fraction.

    Returns:
        What the head of this file says.

    Raises:
        VolumeError, AssessmentError, RegistrationError, ...: What was given can't be used.
    """
    fixed, moving, modality = request["fixed"], request["moving"], request.get("modality", "auto")
    warnings: list[str] = []
    masks = masks_of(request)
    fixed_intensity, fixed_mask = read_image(fixed, masks["fixed"], modality, warnings)
    moving_intensity, moving_mask = read_image(moving, masks["moving"], modality, warnings)
    pair = Pair(fixed, moving, fixed_intensity, moving_intensity, fixed_mask, moving_mask)
    backward = request.get("backward_field")
    if request.get("backward"):
        swapped = {"fixed": moving_mask, "moving": fixed_mask}
        settings = {"modality": modality, **(request.get("options") or {})}
        found = register(moving, fixed, swapped, {**request, "options": settings}, progress)
        backward = found.field
        warnings += [f"the way back: {warning}" for warning in found.warnings]
    progress("assess", 0.0)
    assessment = assess(
        pair,
        request["field"],
        backward=backward,
        inhale=request.get("inhale"),
        step=lambda fraction: progress("assess", fraction),
    )
    return answer(assessment, pair, backward, warnings)


def masks_of(request: dict[str, Any]) -> Masks:
    """The masks of a request on the voxels of its images; None where there is none.

    Raises:
        VolumeError: One that marks nothing.
    """
    given = {name: request.get(f"{name}_mask") for name in ("fixed", "moving")}
    return {name: None if mask is None else mask_on(mask, request[name]) for name, mask in given.items()}


def answer(found: Assessment, pair: Pair, backward: DisplacementField | None, warnings: list[str]) -> dict[str, Any]:
    """An assessment as it is passed back."""
    trust, density = found.trust, found.density_ventilation
    assert pair.fixed_mask is not None, "without lungs there is no assessment"
    lungs = pair.fixed.with_array(pair.fixed_mask.astype(np.uint8), f"{pair.fixed.name} lungs")
    return {
        "maps": {
            "residual": found.volume(trust.residual, "residual"),
            "correlation": found.volume(trust.correlation, "correlation"),
            "consistency": None if trust.consistency is None else found.volume(trust.consistency, "consistency"),
            "trust": found.volume(trust.trust, "trust"),
        },
        "ventilation": {
            "jacobian": found.volume(found.jacobian_ventilation, "ventilation"),
            "density": None if density is None else found.volume(density, "ventilation by density"),
        },
        "regions": found.regions,
        "region_names": list(NAMES),
        "region_figures": found.region_figures,
        "figures": found.figures,
        "lungs": lungs,
        "backward": backward,
        "warnings": [*warnings, *found.warnings],
    }
