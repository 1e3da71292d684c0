"""The lungs of a 4D image's reference phase as somebody has drawn them: 4D MRI needs them, in CT they are found."""

from typing import Any

import numpy as np

from .registration import maskOf


class SeriesMask:
    """The mask that a parameter node chooses.

    Args:
        parameters: The module's parameter node.
    """

    def __init__(self, parameters: Any) -> None:
        self._parameters = parameters
        self._known: tuple[Any, list[int]] = (None, [])

    def labels(self, series: Any) -> Any:
        """What the worker makes the mask of, or None without one.

        Raises:
            NodeError: A mask that can't be used, or that lies beside the reference phase.
        """
        return maskOf(self._parameters.seriesMask, self._parameters.seriesSegment, series.image(series.reference))

    def identity(self, series: Any) -> list[int]:
        """What tells masks apart, also after saving and loading: how many voxels each segment marks.

        Raises:
            NodeError: As :meth:`labels`.
        """
        node = self._parameters.seriesMask
        if node is None:
            return []
        key = node.GetID(), self._parameters.seriesSegment, series.reference, changed(node)
        if key != self._known[0]:
            from LungDeepRegLib.labels import marks

            counts = [int(np.count_nonzero(mask.array)) for labels in self.labels(series) for mask in marks(labels)]
            self._known = key, sorted(counts)
        return self._known[1]


def changed(mask: Any) -> list[int]:
    """When the voxels of a mask, or the surfaces where it has none, changed last."""
    if not mask.IsA("vtkMRMLSegmentationNode"):
        image = mask.GetImageData()
        return [image.GetMTime() if image is not None else 0]
    segmentation = mask.GetSegmentation()
    segments = [segmentation.GetSegment(segmentId) for segmentId in segmentation.GetSegmentIDs()]
    name = segmentation.GetSourceRepresentationName()
    return [
        segment.GetRepresentation(name).GetMTime() if segment.GetRepresentation(name) else 0 for segment in segments
    ]
