"""Nodes of 3D Slicer's MRML scene, to and from volumes, masks and transformations.

The only code of the engine that imports ``slicer`` and ``vtk``; nothing else in the engine imports it. It is for the
Slicer module, Slicer's Python console and programs built on ``slicer-core``. None of it needs torch, but for
:func:`mask_from_node`.
"""

from .apply import Applied, Prepared, carry_over, prepare
from .assessment import assessed, backward_field, publish_assessment
from .masks import label_volumes, mask_from_node
from .motion import CurveNodes, curves_of, publish_curves
from .outputs import Output, Outputs, ResultNodes, check_outputs, difference_before, result_nodes, result_of
from .publish import publish
from .sequences import image_sequences, phase_nodes, phases
from .series import PhaseResult, Series, publish_phase, registered_phases
from .transforms import field_from_node, node_from_field
from .volumes import NodeError, node_from_volume, volume_from_node

__all__ = [
    "Applied",
    "CurveNodes",
    "NodeError",
    "Output",
    "Outputs",
    "PhaseResult",
    "Prepared",
    "ResultNodes",
    "Series",
    "assessed",
    "backward_field",
    "carry_over",
    "check_outputs",
    "curves_of",
    "difference_before",
    "field_from_node",
    "image_sequences",
    "label_volumes",
    "mask_from_node",
    "node_from_field",
    "node_from_volume",
    "phase_nodes",
    "phases",
    "prepare",
    "publish",
    "publish_assessment",
    "publish_curves",
    "publish_phase",
    "registered_phases",
    "result_nodes",
    "result_of",
    "volume_from_node",
]
