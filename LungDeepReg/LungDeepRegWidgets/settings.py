"""The choices of the panel: how people read them, and what they are called in the engine."""

import enum
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _


class Setting(enum.Enum):
    """A choice of a combo box; its value is ``(name in the engine, text for people)``.

    Slicer's parameter node stores a choice by its Python name and shows what :meth:`label` says.
    """

    @property
    def engineName(self) -> str:
        """What the engine calls it."""
        return self.value[0]

    def label(self) -> str:
        """What a person reads."""
        return self.value[1]


class Refinement(Setting):
    """How long the result is improved on the very pair."""

    OFF = ("off", _("Off (alignment and network only)"))
    FAST = ("fast", _("Fast"))
    ACCURATE = ("accurate", _("Accurate (slower)"))


class Alignment(Setting):
    """How the images are brought together first."""

    AFFINE = ("affine", _("Affine"))
    CENTRE = ("centre", _("Centers only"))
    NONE = ("none", _("None (they lie as they should)"))


class SimilarityMeasure(Setting):
    """What the refinement compares."""

    MIND = ("mind", _("MIND (local structure; CT and MRI)"))
    LNCC = ("lncc", _("Local correlation"))
    MI = ("mi", _("Mutual information (different modalities)"))


class Modality(Setting):
    """How the stored values are read."""

    AUTO = ("auto", _("Automatic"))
    CT = ("ct", _("CT (Hounsfield units)"))
    MRI = ("mri", _("MRI"))


class Weights(Setting):
    """Which network is used."""

    BUNDLED = ("bundled", _("The one that comes with the module"))
    FILE = ("file", _("From a file"))
    NONE = ("none", _("None"))


class Device(Setting):
    """Where the network and the refinement run."""

    AUTO = ("auto", _("Automatic (GPU if there is one)"))
    GPU = ("cuda", _("GPU"))
    CPU = ("cpu", _("CPU"))


class Inhale(Setting):
    """Which of the two images was taken after breathing in."""

    UNKNOWN = ("", _("not known (then volume changes have no sign)"))
    FIXED = ("fixed", _("the fixed volume"))
    MOVING = ("moving", _("the moving volume"))


def engineOptions(parameters: Any) -> dict[str, Any]:
    """The fields of the engine's ``Options`` that the panel offers, of a parameter node."""
    return {
        "refine": parameters.refinement.engineName,
        "alignment": parameters.alignment.engineName,
        "similarity": parameters.similarity.engineName,
        "modality": parameters.modality.engineName,
        "device": parameters.device.engineName,
        "linear_branch": parameters.linearBranch,
    }


def engineWeights(parameters: Any) -> str:
    """``bundled``, ``none`` or the path of a checkpoint."""
    return str(parameters.weightsFile) if parameters.weights is Weights.FILE else parameters.weights.engineName


def whatWeightsLack(parameters: Any) -> str:
    """What is to be done before the chosen network can be used; nothing if it can."""
    if parameters.weights is Weights.FILE and not Path(parameters.weightsFile).is_file():
        return _("Choose a weights file that exists, or another network")
    return ""
