"""When a display preset ends: a node goes, the scene closes, it fails, or there are no views at all."""

import re
import zipfile

import pytest
import slicer
import vtk

from Testing.slicer.preset_cases import PRESETS


@pytest.mark.parametrize(
    ("name", "role"), [*((name, "fixed") for name in PRESETS), ("Overlay", "transform"), ("Difference", "warped")]
)
def test_it_is_left_when_a_node_of_its_result_goes(preset_case, name, role):
    before = preset_case.ids()
    preset_case.show(name)
    gone = getattr(preset_case.nodes, role)
    own = {node.GetID() for node in (gone, *displays(gone), *storage(gone)) if node}
    preset_case.scene.RemoveNode(gone)
    assert preset_case.switch.active is None
    assert preset_case.ids() <= before
    assert before - preset_case.ids() <= own
    assert preset_case.views.layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


@pytest.mark.parametrize("name", PRESETS)
def test_it_is_left_when_the_scene_closes(preset_case, name):
    left = []
    preset_case.show(name)
    preset_case.switch.addListener(lambda: left.append(name))
    preset_case.session.close_scene()
    assert preset_case.switch.active is None
    assert left == [name]
    assert preset_case.scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0
    assert preset_case.scene.GetNumberOfNodesByClass("vtkMRMLDisplayNode") == len(slice_displays(preset_case.scene))


@pytest.mark.parametrize("name", PRESETS)
def test_it_is_no_trouble_without_a_layout(application, slicer_application, preset_case, name):
    """Slicer without its main window: no layout manager, no slice logics, maybe slice nodes from a loaded scene."""
    slicer_application.app.show_views({})
    slicer_application.app.layout_manager = None
    application.logic.SetSliceLogics(vtk.vtkCollection())
    for kind in ("vtkMRMLSliceCompositeNode", "vtkMRMLLayoutNode"):
        preset_case.scene.RemoveNode(preset_case.scene.GetFirstNodeByClass(kind))
    nodes = preset_case.ids()
    preset_case.show(name)
    preset_case.switch.leave()
    assert preset_case.ids() == nodes


@pytest.mark.parametrize("name", PRESETS)
def test_a_failure_leaves_everything_as_it_was(preset_case, name, monkeypatch):
    before, nodes = preset_case.state(), preset_case.ids()
    preset = getattr(preset_case.presets, name)
    show = preset.show

    def fail(self):
        show(self)
        raise MemoryError

    monkeypatch.setattr(preset, "show", fail)
    with pytest.raises(MemoryError):
        preset_case.show(name)
    assert preset_case.switch.active is None
    assert preset_case.state() == before
    assert preset_case.ids() == nodes


@pytest.mark.parametrize("name", PRESETS)
def test_a_scene_saved_meanwhile_has_nothing_of_it(preset_case, name, tmp_path):
    before = preset_case.ids()
    preset_case.show(name)
    added = preset_case.ids() - before
    preset_case.session.save_scene(tmp_path / "scene.mrb")
    with zipfile.ZipFile(tmp_path / "scene.mrb") as bundle:
        scene = next(entry for entry in bundle.namelist() if entry.endswith(".mrml"))
        saved = set(re.findall(r' id="([^"]+)"', bundle.read(scene).decode()))
    assert preset_case.nodes.fixed.GetID() in saved
    assert saved & added == set()


def test_a_volume_that_went_meanwhile_leaves_its_layer_empty(preset_case):
    other = preset_case.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    preset_case.composite("Green").SetBackgroundVolumeID(other.GetID())
    preset_case.show("Difference")
    preset_case.scene.RemoveNode(other)
    assert preset_case.switch.active is not None
    preset_case.switch.leave()
    assert preset_case.volume(name="Green") is None
    assert preset_case.volume() is preset_case.nodes.moving


def displays(node):
    return [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())] if hasattr(
        node, "GetNumberOfDisplayNodes") else []  # fmt: skip


def storage(node):
    return [node.GetStorageNode()] if hasattr(node, "GetStorageNode") else []


def slice_displays(scene):
    return slicer.util.getNodesByClass("vtkMRMLSliceDisplayNode", scene)
