"""LungDeepReg: registration of lung images. Research software, not for clinical use.

>>> from LungDeepRegLib import read_volume, register
>>> result = register(read_volume("exhale.nii.gz"), read_volume("inhale.nii.gz"))
"""

from .displacement_field import DisplacementField
from .image_io import read_mask, read_volume
from .registration import Options, Registration, register
from .volume import Volume

__all__ = ["DisplacementField", "Options", "Registration", "Volume", "read_mask", "read_volume", "register"]

__version__ = "0.1.0"
