"""Synthetic patients for the benchmark: chests, disease, breathing and observers, all drawn from ``frozen.toml``.

Other anatomy and other motion than what the shipped weights were trained on; tubes, edges of tissue and grain are
painted with the tools of the engine's phantom. They are computed, not scanned. :mod:`case` joins

- who there is: :mod:`members`, :mod:`parameters`;
- the inhaled chest: :mod:`patient`, which has :mod:`chest_shape`, :mod:`anatomy` (of :mod:`solids`), :mod:`vessels`,
  :mod:`lung_trees`, :mod:`branchings` (the landmarks) and :mod:`disease`;
- phi, from exhaled to inhaled: :mod:`breathing`, by :mod:`breath`, :mod:`mechanics` and :mod:`elasticity`;
- pictures: :mod:`appearance`, by :mod:`look`, :mod:`painting` (with :mod:`skeleton`, :mod:`organs`,
  :mod:`lung_texture`), :mod:`scanner` and :mod:`acquisition`;
- :mod:`observers`.

:mod:`calibration` says how far apart the lungs are unregistered.
"""
