"""How far a registration can be trusted, and how the lungs change by it, place by place."""

from .assess import Assessment, assess
from .lung_samples import AssessmentError
from .regions import NAMES

__all__ = ["NAMES", "Assessment", "AssessmentError", "assess"]
