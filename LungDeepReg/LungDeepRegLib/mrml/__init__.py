"""Nodes of 3D Slicer's MRML scene, to and from volumes, masks and transformations.

The only code of the engine that imports ``slicer`` and ``vtk``; nothing else in the engine imports it. It is for the
Slicer module, Slicer's Python console and programs built on ``slicer-core``.
"""

from .masks import mask_from_node
from .publish import PublishedNodes, publish
from .transforms import field_from_node, node_from_field
from .volumes import NodeError, node_from_volume, volume_from_node

__all__ = [
    "NodeError",
    "PublishedNodes",
    "field_from_node",
    "mask_from_node",
    "node_from_field",
    "node_from_volume",
    "publish",
    "volume_from_node",
]
