"""How alike two images are: one interface for instance refinement and for training.

>>> similarity = parse_similarity("lncc=1,mi=0.5")
>>> fixed_features = similarity.features(fixed)
>>> objective = similarity.against(fixed_features, mask)
>>> loss = objective(warp(similarity.features(moving), grid))
"""

from .combination import TERMS, Similarity, parse_similarity
from .intensity import GlobalCorrelation, MeanSquaredError
from .local_correlation import LocalCorrelation
from .mind import MindSsc
from .mutual_information import MutualInformation
from .term import Objective, SimilarityError, Term
from .wavelet import WaveletMetric

__all__ = [
    "TERMS",
    "GlobalCorrelation",
    "LocalCorrelation",
    "MeanSquaredError",
    "MindSsc",
    "MutualInformation",
    "Objective",
    "Similarity",
    "SimilarityError",
    "Term",
    "WaveletMetric",
    "parse_similarity",
]
