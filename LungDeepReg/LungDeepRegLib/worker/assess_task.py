"""What the worker finds out about a registration afterwards: trust and ventilation, place by place.

The answer of the task ``assess``, a dict. "The maps' lattice" is one lattice of about 3 mm around the fixed image's
lungs; every map on it is float32 and holds :data:`quality.NOT_MEASURED` outside the lungs and wherever nothing could
be measured (where the moving image doesn't cover the fixed one).

* ``maps``: ``residual`` (HU after density correction in CT, otherwise in percent of the fixed image's window),
  ``correlation`` (-1 to 1; 0 to 1 for images of different modality), ``consistency`` (mm, or None without a backward
  run) and ``trust`` (0 to 1): Volumes on the maps' lattice.
* ``ventilation``: ``jacobian`` and ``density`` (None but for two CTs): Volumes on the maps' lattice, 0.5 being a
  change of volume by half; without a sign where it isn't known which image is the inhaled one.
* ``regions``: Volume uint8 on the maps' lattice, label n being ``region_names[n - 1]``, 0 outside the lungs;
  ``region_names``: list of text, always the same (see :data:`regions.NAMES`), though not every label need occur.
* ``region_figures``: a list of dicts, one for the lungs as a whole (``region`` is ``"Lungs"``), one for each lung and
  one for each third that there is: ``region`` (text), ``volume_ml``, and for ``residual``, ``correlation``,
  ``consistency_mm``, ``trust``, ``jacobian``, ``ventilation_jacobian``, ``ventilation_density`` each a dict with mean,
  sd, median, p5, p95, or None; ``low_trust_percent``.
* ``figures``: ``inverse_consistency_mm`` (as summary.json has it, or None), ``residual_unit`` (``HU`` or ``%``),
  ``residual_rms``, ``correlation_mean``, ``trust_mean``, ``low_trust_percent``, ``modality`` (``ct``, ``mri`` or
  None), ``inhale`` (``fixed``, ``moving`` or None).
* ``lungs``: Volume uint8 on the fixed image's voxels; ``backward``: DisplacementField (moving to fixed RAS mm) or None.
* ``warnings``: a list of sentences.
"""
