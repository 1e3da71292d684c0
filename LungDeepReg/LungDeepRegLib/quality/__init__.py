"""Whether a registration can be trusted, figure by figure, after AAPM TG-132.

Brock et al. 2017, "Use of image registration and fusion algorithms and techniques in radiotherapy: report of the AAPM
Radiation Therapy Committee Task Group No. 132", Medical Physics 44(7): e43-e76.
"""

from .checklist import Check, checks, overall
from .thresholds import DEFAULT_THRESHOLDS, MEANINGS, NOT_MEASURED, Light, Threshold

__all__ = ["DEFAULT_THRESHOLDS", "MEANINGS", "NOT_MEASURED", "Check", "Light", "Threshold", "checks", "overall"]
