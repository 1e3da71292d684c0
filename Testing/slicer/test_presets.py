"""Every display preset: it fills the views, changes nothing for good, and goes when it should."""

import dataclasses

import numpy as np
import pytest
from PySide6 import QtCore

from Testing.slicer.mrml_cases import hierarchy_of
from Testing.slicer.preset_cases import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_it_fills_the_views_and_puts_everything_back(preset_case, name):
    before, nodes = preset_case.state(), preset_case.ids()
    preset_case.show(name)
    assert preset_case.state() != before
    for view in preset_case.views.shown():
        picture = preset_case.views[view].grab()
        assert picture.std() > 10, f"{view} is empty"
    preset_case.switch.leave()
    assert preset_case.state() == before
    assert preset_case.ids() == nodes


@pytest.mark.parametrize("name", PRESETS)
def test_what_it_adds_is_hidden_and_not_saved(preset_case, name):
    nodes = preset_case.ids()
    preset_case.show(name)
    added = [preset_case.scene.GetNodeByID(node) for node in preset_case.ids() - nodes]
    assert added
    assert [node.GetName() for node in added if not node.GetHideFromEditors() or node.GetSaveWithScene()] == []
    assert [node.GetName() for node in added if hierarchy_of(preset_case.scene).GetItemByDataNode(node)] == []


def test_another_one_begins_where_the_user_was(preset_case):
    before, nodes = preset_case.state(), preset_case.ids()
    for name in (*PRESETS, *PRESETS[::-1]):
        preset_case.show(name)
    preset_case.switch.leave()
    assert preset_case.state() == before
    assert preset_case.ids() == nodes


def test_a_fixed_image_below_a_bent_transform_is_refused_by_name(preset_case):
    before = preset_case.view_state()
    preset_case.nodes.fixed.SetAndObserveTransformNodeID(preset_case.nodes.transform.GetID())
    with pytest.raises(ValueError, match="phantom exhale: found the non-linear transform"):
        preset_case.show("Overlay")
    assert preset_case.view_state() == before


def test_a_transform_that_the_user_draws_is_drawn_again_afterwards(preset_case):
    preset_case.nodes.transform.CreateDefaultDisplayNodes()
    drawn = preset_case.nodes.transform.GetDisplayNode()
    drawn.SetVisibility(True)
    preset_case.show("Overlay")
    assert not drawn.GetVisibility()
    preset_case.switch.leave()
    assert drawn.GetVisibility()


@pytest.mark.parametrize(
    ("name", "absent", "told"),
    [
        ("Overlay", "warped", "Deformed volume"),
        ("Difference", "difference_before", "Difference map"),
        ("Displacement", "transform", "Displacement field"),
        ("Jacobian", "jacobian", "Jacobian map"),
        ("LinkedCursor", "transform", "Displacement field"),
    ],
)
def test_it_says_which_output_to_tick(preset_case, name, absent, told):
    preset = getattr(preset_case.presets, name)
    assert preset.missing(preset_case.nodes) == ""
    assert told in preset.missing(dataclasses.replace(preset_case.nodes, **{absent: None}))
    assert preset.missing(None) != ""
    preset_case.scene.RemoveNode(getattr(preset_case.nodes, absent))
    assert told in preset.missing(preset_case.nodes)


@pytest.mark.parametrize("name", PRESETS)
def test_it_needs_no_coverage(preset_case, name):
    preset_case.nodes = dataclasses.replace(preset_case.nodes, coverage=None)
    preset_case.show(name)
    assert preset_case.composite().GetLabelVolumeID() is None


def test_slices_go_through_the_lungs_along_the_fixed_volume(preset_case, pair):
    preset_case.show("Overlay")
    for name in ("Red", "Green", "Yellow"):
        view = preset_case.views[name]
        normal = np.array([view.node.GetSliceToRAS().GetElement(row, 2) for row in range(3)])
        along = np.abs(pair.fixed.ijk_to_ras[:3, :3].T @ normal) / pair.fixed.lattice.spacing_mm
        assert along.max() == pytest.approx(1, abs=1e-6)  # not aslant to the voxels
        assert lung_in(view, pair) > 0.04


def lung_in(view, pair) -> float:
    """How much of a slice view's area shows the fixed image's lungs."""
    to_ras, (width, height, _) = view.node.GetXYToRAS(), view.node.GetDimensions()
    pixels = [(x, y, 0.0, 1.0) for x in range(0, width, 7) for y in range(0, height, 7)]
    points = np.array([to_ras.MultiplyPoint(pixel)[:3] for pixel in pixels])
    inside = pair.fixed.lattice.contains(points)
    ijk = points[inside] @ pair.fixed.lattice.ras_to_ijk[:3, :3].T + pair.fixed.lattice.ras_to_ijk[:3, 3]
    i, j, k = np.clip(np.round(ijk).astype(int), 0, np.array(pair.fixed.array.shape[::-1]) - 1).T
    return float((pair.fixed_mask.array[k, j, i] > 0).sum() / len(points))


class Later(QtCore.QObject):
    """Does something when Qt delivers the events that are posted, as it lays out a window."""

    def __init__(self, do) -> None:
        super().__init__()
        self.do = do

    def event(self, _event) -> bool:
        self.do()
        return True


@pytest.mark.parametrize("name", ["Difference", "LinkedCursor"])
def test_images_fit_views_that_get_their_sizes_a_little_later(preset_case, name, monkeypatch):
    """Qt gives the views of a new layout their sizes by posted events, after the layout was chosen."""
    views, size, follow = preset_case.views, preset_case.views.size, preset_case.views.follow
    later = Later(follow)

    def follow_slowly() -> None:
        views.size = (4 * size[0], size[1])
        follow()
        views.size = size
        QtCore.QCoreApplication.postEvent(later, QtCore.QEvent(QtCore.QEvent.Type.User))

    monkeypatch.setattr(views, "follow", follow_slowly)
    preset_case.show(name)
    QtCore.QCoreApplication.sendPostedEvents()
    for above in ("Red", "Yellow"):  # not turned by the user before
        node, fitted = preset_case.views[above].node, np.array(preset_case.views[above].node.GetFieldOfView())
        width, height, _ = node.GetDimensions()
        preset_case.views[above].logic.FitSliceToVolume(preset_case.nodes.fixed, width, height)
        np.testing.assert_allclose(fitted[:2], node.GetFieldOfView()[:2])
        np.testing.assert_allclose(preset_case.views[f"{above}+"].node.GetFieldOfView()[:2], fitted[:2])


def test_both_rows_of_the_difference_have_the_orientations_that_the_user_had_chosen(preset_case):
    assert preset_case.views["Green"].node.GetOrientation() == "Sagittal"
    preset_case.show("Difference")
    for above in ("Red", "Green", "Yellow"):
        first, second = (preset_case.views[name].node.GetXYToRAS() for name in (above, f"{above}+"))
        points = [[matrix.MultiplyPoint((x, y, 0.0, 1.0)) for x, y in ((0, 0), (80, 9))] for matrix in (first, second)]
        np.testing.assert_allclose(*points, atol=1e-6)


def test_nothing_in_3d_is_cut_off_afterwards(preset_case):
    """A camera that comes back from another place needs clipping planes for its own."""
    camera = preset_case.scene.GetFirstNodeByClass("vtkMRMLCameraNode")
    preset_case.show("Overlay")
    fitted_at = []
    observer = camera.AddObserver(
        camera.ResetCameraClippingEvent, lambda node, _event: fitted_at.append(node.GetPosition())
    )
    preset_case.switch.leave()
    camera.RemoveObserver(observer)
    assert fitted_at[-1:] == [camera.GetPosition()]
