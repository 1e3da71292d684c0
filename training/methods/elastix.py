"""elastix (Klein et al. 2010, IEEE TMI 29(1)): B-splines with stochastic gradient descent, through itk-elastix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.pyramid import NEAR_LUNG_MM

from .library import library, version
from .method import AlignedPair, field_of_voxels

DISTRIBUTION = "itk-elastix"
COMMON = {
    "Registration": "MultiMetricMultiResolutionRegistration",
    "Metric": ("AdvancedNormalizedCorrelation", "TransformBendingEnergyPenalty"),
    "Metric0RelativeWeight": 1.0,
    "Metric1RelativeWeight": 0.05,
    "UseRelativeWeights": True,
    "FixedInternalImagePixelType": "float",
    "MovingInternalImagePixelType": "float",
    "FixedImagePyramid": "FixedRecursiveImagePyramid",
    "MovingImagePyramid": "MovingRecursiveImagePyramid",
    "Interpolator": "BSplineInterpolator",
    "BSplineInterpolationOrder": 1,
    "Optimizer": "AdaptiveStochasticGradientDescent",
    "AutomaticParameterEstimation": True,
    "UseAdaptiveStepSizes": True,
    "Transform": "BSplineTransform",
    "HowToCombineTransforms": "Compose",
    "Resampler": "DefaultResampler",
    "ResampleInterpolator": "FinalBSplineInterpolator",
    "ImageSampler": "RandomCoordinate",
    "NumberOfSpatialSamples": 2000,
    "NewSamplesEveryIteration": True,
    "UseRandomSampleRegion": False,
    "MaximumNumberOfSamplingAttempts": 50,
    "NumberOfResolutions": 5,
    "UseDirectionCosines": True,
    "WriteResultImage": False,
    "RandomSeed": 0,
}
STAGES = (
    {
        "ImagePyramidSchedule": (16,) * 3 + (8,) * 3 + (4,) * 3 + (2,) * 3 + (1,) * 3,
        "FinalGridSpacingInPhysicalUnits": (10.0,) * 3,
        "GridSpacingSchedule": (8.0, 8.0, 4.0, 2.0, 1.0),
        "MaximumNumberOfIterations": 1000,
        "ErodeMask": False,
    },
    {
        "ImagePyramidSchedule": (4,) * 3 + (3,) * 3 + (2,) * 3 + (1,) * 6,
        "FinalGridSpacingInPhysicalUnits": (5.0,) * 3,
        "GridSpacingSchedule": (16.0, 8.0, 4.0, 2.0, 1.0),
        "MaximumNumberOfIterations": 2000,
        "ErodeMask": False,
    },
)


@dataclass(frozen=True)
class Elastix:
    """The B-spline stages of parameter set 0011 of the elastix model zoo, made for lungs (EMPIRE10).

    Staring, Klein, Reiber, Niessen, Stoel: Pulmonary image registration with elastix using a standard intensity-based
    algorithm, 2010. Its affine stage is left out, since the pair is aligned.

    Attributes:
        reach_mm: How far beyond the fixed lungs its mask reaches, so that it sees their surface.
        stages: What differs between its stages.
    """

    name: str = "elastix"
    title: str = "elastix, B-spline"
    costly: bool = True
    reach_mm: float = NEAR_LUNG_MM
    stages: tuple[dict[str, Any], ...] = STAGES

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`Method`."""
        return {**COMMON, "stages": self.stages, "mask_reach_mm": self.reach_mm, "itk-elastix": version(DISTRIBUTION)}

    def ready(self) -> None:
        """Import itk and the part of it that is elastix, which it loads lazily."""
        _ = library("itk", DISTRIBUTION).ParameterObject

    def __call__(self, pair: AlignedPair, threads: int, device: str = "cpu") -> DisplacementField:
        """See :class:`Method`."""
        itk = library("itk", DISTRIBUTION)
        itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
        fixed, moving = (self.image(itk, array, pair) for array in pair.normalised())
        masks = {}
        near = pair.near_lungs(pair.fixed_lungs, self.reach_mm)
        if near is not None:
            masks["fixed_mask"] = self.image(itk, near.astype(np.uint8), pair)
        parameters = itk.ParameterObject.New()
        for stage in self.stages:
            parameters.AddParameterMap({name: texts(value) for name, value in {**COMMON, **stage}.items()})
        _, transform = itk.elastix_registration_method(
            fixed, moving, parameter_object=parameters, number_of_threads=threads, log_to_console=False, **masks
        )
        mm = itk.array_from_image(itk.transformix_deformation_field(moving, transform))  # (K, J, I, 3)
        return field_of_voxels(mm / pair.lattice.spacing_mm, pair.lattice)

    @staticmethod
    def image(itk: Any, array: np.ndarray, pair: AlignedPair) -> Any:
        """An ITK image in the lattice's own axes: voxels and their spacing, no directions."""
        image = itk.image_from_array(np.ascontiguousarray(array))
        image.SetSpacing([float(mm) for mm in pair.lattice.spacing_mm])
        return image


def texts(value: Any) -> list[str]:
    """A value of a parameter as elastix wants it: a list of words."""
    values = value if isinstance(value, tuple) else (value,)
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in values]
