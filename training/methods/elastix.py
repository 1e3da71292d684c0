"""elastix (Klein et al. 2010, IEEE TMI 29(1)): B-splines with stochastic gradient descent, through itk-elastix."""

from __future__ import annotations

from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from LungDeepRegLib.displacement_field import DisplacementField

from .library import library, version
from .method import AlignedPair, field_of_voxels

DISTRIBUTION = "itk-elastix"
OPTIONS: dict[str, Any] = {
    "Registration": "MultiMetricMultiResolutionRegistration",
    "Metric": ("AdvancedNormalizedCorrelation", "TransformBendingEnergyPenalty"),
    "Metric0RelativeWeight": 1.0,
    "Metric1RelativeWeight": 0.05,
    "UseRelativeWeights": True,
    "FixedInternalImagePixelType": "float",
    "MovingInternalImagePixelType": "float",
    "FixedImagePyramid": "FixedRecursiveImagePyramid",
    "MovingImagePyramid": "MovingRecursiveImagePyramid",
    "Interpolator": "LinearInterpolator",
    "Optimizer": "AdaptiveStochasticGradientDescent",
    "AutomaticParameterEstimation": True,
    "ASGDParameterEstimationMethod": "DisplacementDistribution",
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
    "ImagePyramidSchedule": (16,) * 3 + (8,) * 3 + (4,) * 3 + (2,) * 3 + (1,) * 3,
    "FinalGridSpacingInPhysicalUnits": (10.0,) * 3,
    "GridSpacingSchedule": (8.0, 8.0, 4.0, 2.0, 1.0),
    "MaximumNumberOfIterations": 1000,
    "UseDirectionCosines": True,
    "WriteResultImage": False,
    "RandomSeed": 0,
}


@dataclass(frozen=True)
class Elastix:
    """The first B-spline stage of parameter set 0011 of the elastix model zoo, made for lungs (EMPIRE10).

    Staring, Klein, Reiber, Niessen, Stoel: Pulmonary image registration with elastix using a standard intensity-based
    algorithm, 2010. As published it has no mask. Other than published: no affine stage, since the pair is aligned; no
    second B-spline stage, which takes several times as long; step sizes are estimated as Qiao et al. 2016 do, and
    interpolation of order 1 has its own, equal component.
    """

    name: str = "elastix"
    title: str = "elastix, B-spline"
    costly: bool = True
    options: dict[str, Any] = field(default_factory=OPTIONS.copy)

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`Method`."""
        return {**self.options, "itk-elastix": version(DISTRIBUTION)}

    def ready(self) -> None:
        """Import itk and the part of it that is elastix, which it loads lazily."""
        _ = library("itk", DISTRIBUTION).ParameterObject

    def __call__(self, pair: AlignedPair, threads: int, device: str = "cpu") -> DisplacementField:
        """See :class:`Method`."""
        itk = library("itk", DISTRIBUTION)
        # Its own number_of_threads made it write beyond its threads' memory.
        itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
        fixed, moving = (self.image(itk, array, pair) for array in pair.normalised())
        parameters = itk.ParameterObject.New()
        parameters.AddParameterMap({name: texts(value) for name, value in self.options.items()})
        _, transform = itk.elastix_registration_method(fixed, moving, parameter_object=parameters, log_to_console=False)
        with TemporaryDirectory() as folder:  # it leaves a copy in a file, otherwise in the current folder
            found = itk.transformix_deformation_field(moving, transform, output_directory=folder)
            mm = itk.array_from_image(found)  # (K, J, I, 3)
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
