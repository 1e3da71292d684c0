"""The tests' own views: they show what the scene has, at the right place, and can be clicked."""

import numpy as np
import pytest
from LungDeepRegLib.mrml import node_from_volume
from LungDeepRegLib.volume import Volume

from Testing.slicer.views import GAP, Views, above, beside, load_picture, save_picture


@pytest.fixture
def views(application, scene):
    area = Views(scene, application.logic, size=(300, 200))
    yield area
    area.close()


@pytest.fixture
def dot(scene):
    """A black cube of 41 mm about the origin with one bright voxel at (R, A, S) = (10, -5, 8)."""
    array = np.zeros((41, 41, 41), np.int16)
    array[28, 15, 30] = 1000
    matrix = np.eye(4)
    matrix[:3, 3] = -20
    return node_from_volume(Volume(array, matrix, "dot"), scene)


def test_a_bright_voxel_is_where_the_view_says(views, dot):
    for name in ("Red", "Green", "Yellow"):
        view = views[name]
        view.composite.SetBackgroundVolumeID(dot.GetID())
        view.logic.FitSliceToBackground()
        view.node.JumpSliceByOffsetting(10, -5, 8)
        picture = view.grab()[..., 0].astype(int)
        y, x = np.unravel_index(np.argmax(picture), picture.shape)
        assert picture[y, x] > 200
        column, row = view.pixel((10, -5, 8))
        assert np.hypot(x - column, (picture.shape[0] - 1 - y) - row) < 4


def test_a_click_tells_the_place_in_the_world(views, dot):
    view = views["Green"]
    view.composite.SetBackgroundVolumeID(dot.GetID())
    view.logic.FitSliceToBackground()
    heard = []
    interactor = view.interactor
    for event in ("LeftButtonPressEvent", "LeftButtonReleaseEvent"):
        interactor.AddObserver(event, lambda caller, name: heard.append((name, *caller.GetEventPosition())))
    view.click((10, 0, 8))
    assert [name for name, *_ in heard] == ["LeftButtonPressEvent", "LeftButtonReleaseEvent"]
    place = view.node.GetXYToRAS().MultiplyPoint((*heard[0][1:], 0.0, 1.0))
    np.testing.assert_allclose(place[:3], (10, view.node.GetSliceOffset(), 8), atol=0.5)


def test_the_picture_follows_the_layout(views):
    assert views.picture().shape == (200 + GAP, 300 + GAP, 3)
    views.layout.SetViewArrangement(views.layout.SlicerLayoutThreeOverThreeView)
    assert views.shown() == ["Red", "Green", "Yellow", "Red+", "Green+", "Yellow+"]
    assert views["Yellow+"].grab().shape == (100, 100, 3)
    assert views.picture().shape == (200 + GAP, 300 + 2 * GAP, 3)


def test_pictures_of_different_heights_stand_side_by_side_and_survive_a_file(tmp_path):
    left, right = np.full((2, 3, 3), 10, np.uint8), np.full((4, 2, 3), 200, np.uint8)
    both = beside(left, right)
    assert both.shape == (4, 3 + GAP + 2, 3)
    assert above(left, left).shape == (4 + GAP, 3, 3)
    both[0, 0] = (1, 2, 3)
    save_picture(both, tmp_path / "both.png")
    np.testing.assert_array_equal(load_picture(tmp_path / "both.png"), both)
