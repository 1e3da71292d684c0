"""A MRML scene as Slicer's application makes it, on plain slicer-core: no window, no Qt, nothing global."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import slicer
import vtk

from Testing.slicer.standins.core_io import connect_file_io

LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Colors": "vtkSlicerColorLogic",
}
"""The modules whose logics register the node classes that the tests need."""


@dataclass
class Application:
    """A scene and what keeps it alive."""

    scene: object
    logic: object
    modules: dict[str, object] = field(default_factory=dict)
    file_io: tuple[object, ...] = ()


def start_application(home: Path) -> Application:
    """A scene with Slicer's node classes, colour tables and a subject hierarchy."""
    write_color_file(home / "share" / "ColorFiles" / "DivergingBlueRed.txt")
    logic, scene = slicer.vtkSlicerApplicationLogic(), slicer.vtkMRMLScene()
    logic.SetHomeDirectory(str(home))
    logic.SetShareDirectory("share")
    logic.SetTemporaryPath(str(home))
    logic.SetMRMLScene(scene)
    application = Application(scene, logic)
    for name, class_name in LOGICS.items():
        module = getattr(slicer, class_name)()
        module.SetMRMLApplicationLogic(logic)
        module.SetMRMLScene(scene)
        logic.SetModuleLogic(name, module)
        application.modules[name] = module
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    application.file_io = connect_file_io(scene, home)
    return application


def reset(application: Application) -> None:
    """Empty the scene but for what Slicer itself puts there (selection, colours)."""
    # Slicer's own window removes the items of nodes that go; what is left in the cache would match later nodes.
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(application.scene).RemoveAllItems(False)
    application.scene.Clear(False)


def write_color_file(path: Path) -> None:
    """The diverging colours, which slicer-core has no file of: blue, white, red."""
    path.parent.mkdir(parents=True)
    steps = np.linspace(-1, 1, 256)
    red, blue = (np.clip(1 + sign * steps, 0, 1) * 255 for sign in (1, -1))
    green = (1 - np.abs(steps)) * 255
    rows = [f"{i} c{i} {red[i]:.0f} {green[i]:.0f} {blue[i]:.0f} 255" for i in range(256)]
    path.write_text("\n".join(rows))


def linear_transform(scene, matrix: np.ndarray, name: str = "table"):
    """A linear transform node of a 4x4 matrix from its children's RAS to its own."""
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    to_parent = vtk.vtkMatrix4x4()
    to_parent.DeepCopy(np.asarray(matrix).ravel().tolist())
    node.SetMatrixTransformToParent(to_parent)
    return node


def from_world(node, points: np.ndarray) -> np.ndarray:
    """A transform node's map of world points ``(N, 3)`` to what lies below it, as Slicer computes it."""
    transform = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(transform)
    return np.array([transform.TransformPoint(point) for point in points.tolist()])
