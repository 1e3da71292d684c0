"""A published result and the views around it, for the tests of the display presets."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from LungDeepRegLib.mrml import node_from_volume, publish, publish_assessment
from LungDeepRegLib.mrml.outputs import RUN_ATTRIBUTE

from Testing.slicer.assessment_cases import answer_of
from Testing.slicer.mrml_cases import below, outcome_of
from Testing.slicer.mrml_cases import state as volume_state
from Testing.slicer.views import Views

PRESETS = (
    "Overlay",
    "Flicker",
    "Checkerboard",
    "Difference",
    "Displacement",
    "Jacobian",
    "LinkedCursor",
    "Trust",
    "Ventilation",
)
TURNED = np.array([[0.98, -0.199, 0, 12.0], [0.199, 0.98, 0, 30.0], [0, 0, 1, -20.0], [0, 0, 0, 1]])
VIEW_NODES = (
    "vtkMRMLAbstractViewNode",
    "vtkMRMLSliceCompositeNode",
    "vtkMRMLCameraNode",
    "vtkMRMLLayoutNode",
    "vtkMRMLSliceDisplayNode",
    "vtkMRMLModelNode",  # the planes of the slices
    "vtkMRMLLinearTransformNode",  # theirs
    "vtkMRMLClipNode",
    "vtkMRMLCrosshairNode",
)


@dataclass
class PresetCase:
    """A registered pair below a turned table, its nodes and views.

    Attributes:
        session: The application.
        scene: Its scene.
        views: Its view area.
        nodes: ``ResultNodes``.
        presets: The classes of the presets, and ``PresetSwitch``, by name.
        switch: Shows one at a time.
    """

    session: object
    scene: object
    views: Views
    nodes: object
    presets: SimpleNamespace
    switch: object

    def show(self, name: str, **settings):
        """Show a preset by the name of its class."""
        preset = getattr(self.presets, name)
        return self.switch.choose(lambda stage, nodes: preset(stage, nodes, **settings), self.nodes)

    def composite(self, name: str = "Red"):
        return self.views[name].logic.GetSliceCompositeNode()

    def volume(self, layer: str = "Background", name: str = "Red"):
        """The volume on a layer of a slice view."""
        return self.scene.GetNodeByID(getattr(self.composite(name), f"Get{layer}VolumeID")() or "")

    def ids(self) -> set[str]:
        """Of all nodes that aren't the views' own."""
        nodes = (self.scene.GetNthNode(n) for n in range(self.scene.GetNumberOfNodes()))
        return {node.GetID() for node in nodes if not any(node.IsA(kind) for kind in VIEW_NODES)}

    def state(self) -> dict:
        """All that a preset could leave changed, in the views and in the volumes."""
        volumes = {name: node for name, node in vars(self.nodes).items() if name != "transform"}
        there = {name: node for name, node in volumes.items() if node is not None and node.GetScene() is not None}
        return self.view_state() | {name: volume_state(node) for name, node in there.items()}

    def view_state(self) -> dict:
        """All that a preset could leave changed in the views."""
        found = {"layout": self.views.layout.GetViewArrangement()}
        for name in ("Red", "Green", "Yellow"):
            node, layers = self.views[name].node, self.composite(name)
            found[name] = (
                np.array([node.GetSliceToRAS().GetElement(r, c) for r in range(4) for c in range(4)]).round(9).tolist(),
                tuple(node.GetFieldOfView()), tuple(node.GetXYZOrigin()), node.GetOrientation(),
                node.GetSliceVisible(), node.GetViewGroup(), node.GetUseLabelOutline(),
                layers.GetBackgroundVolumeID(), layers.GetForegroundVolumeID(), layers.GetLabelVolumeID(),
                layers.GetForegroundOpacity(), layers.GetLabelOpacity(), layers.GetCompositing(),
                layers.GetLinkedControl(), layers.GetHotLinkedControl(), layers.GetClipToBackgroundVolume(),
            )  # fmt: skip
        camera = self.scene.GetFirstNodeByClass("vtkMRMLCameraNode")
        found["camera"] = tuple(camera.GetPosition()), tuple(camera.GetFocalPoint()), tuple(camera.GetViewUp())
        return found


def settle(case: PresetCase) -> None:
    """The views as a user left them: not as anything sets them by default."""
    logic = case.views["Red"].logic
    layers = logic.GetSliceCompositeNode()
    layers.SetBackgroundVolumeID(case.nodes.moving.GetID())
    layers.SetForegroundVolumeID(case.nodes.fixed.GetID())
    layers.SetForegroundOpacity(0.25)
    layers.SetCompositing(layers.Add)
    layers.SetLinkedControl(1)
    case.views["Green"].node.SetOrientation("Sagittal")
    case.views["Green"].node.SetFieldOfView(123.0, 82.0, 1.0)
    case.views["Yellow"].node.JumpSliceByCentering(3.0, 5.0, 7.0)
    case.views["Yellow"].node.SetSliceVisible(True)
    case.scene.GetFirstNodeByClass("vtkMRMLCameraNode").SetPosition(10.0, 500.0, 30.0)


@pytest.fixture
def preset_case(slicer_application, pair, registration) -> Iterator[PresetCase]:
    """A result on oblique, left-handed and coronal volumes below a table, in views that a user had already changed."""
    scene = slicer_application.scene
    views = Views(scene, slicer_application.started.logic, size=(360, 240))
    slicer_application.app.show_views(views.views)
    fixed, moving = node_from_volume(pair.fixed, scene), node_from_volume(pair.moving, scene)
    below(scene, fixed, TURNED)
    nodes = publish(outcome_of(registration, pair), fixed, moving)
    nodes = publish_assessment(answer_of(nodes), nodes.transform, nodes.transform.GetAttribute(RUN_ATTRIBUTE))
    presets = SimpleNamespace()
    for name in (*PRESETS, "PresetSwitch"):
        file = "preset" if name == "PresetSwitch" else name[0].lower() + name[1:]
        setattr(presets, name, getattr(importlib.import_module(f"LungDeepRegWidgets.presets.{file}"), name))
    switch = presets.PresetSwitch(scene, slicer_application.app.applicationLogic())
    case = PresetCase(slicer_application, scene, views, nodes, presets, switch)
    settle(case)
    yield case
    switch.leave()
    views.close()
