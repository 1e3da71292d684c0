"""LungDeepReg: registration of lung images. Research software, not for clinical use.

>>> from LungDeepRegLib import read_volume, register
>>> result = register(read_volume("exhale.nii.gz"), read_volume("inhale.nii.gz"))

Names are loaded when they are first used: what needs no torch, such as :mod:`mrml`, works where it isn't loaded.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .displacement_field import DisplacementField as DisplacementField
    from .image_io import read_mask as read_mask
    from .image_io import read_volume as read_volume
    from .registration import Options as Options
    from .registration import Registration as Registration
    from .registration import register as register
    from .volume import Volume as Volume

__version__ = "0.1.0"

# Threads of torch (GNU OpenMP, Linux) that wait for each other keep their cores busy. Where another program takes one
# of these cores, as Slicer does, all wait for the thread that it displaced, again and again: several times slower.
# OpenMP reads this when torch is loaded. It takes as little itself where it knows of more threads than cores.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

HOMES = {
    "DisplacementField": "displacement_field",
    "Options": "registration",
    "Registration": "registration",
    "Volume": "volume",
    "read_mask": "image_io",
    "read_volume": "image_io",
    "register": "registration",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    """A public name of the engine, from the file that it lives in."""
    if name not in HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f".{HOMES[name]}", __name__), name)
