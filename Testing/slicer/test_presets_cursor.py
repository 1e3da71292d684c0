"""Linked cursor: clicks in one image, the matching point in the other one."""

import numpy as np
import pytest

COLUMNS = (("Red", "Red+"), ("Green", "Green+"), ("Yellow", "Yellow+"))
START = np.array([-62.0, 5.0, 12.0])


@pytest.fixture
def cursor(preset_case):
    preset_case.show("LinkedCursor")
    return preset_case


def marks(case) -> list[np.ndarray]:
    """Where the points are that each row shows."""
    nodes = [case.scene.GetNthNodeByClass(n, "vtkMRMLMarkupsFiducialNode") for n in range(2)]
    by_view = {
        node.GetDisplayNode().GetNthViewNodeID(0): np.array(node.GetNthControlPointPositionWorld(0)) for node in nodes
    }
    return [by_view["vtkMRMLSliceNodeRed"], by_view["vtkMRMLSliceNodeRed+"]]


def in_plane(view, point) -> float:
    """How far a world point is from a slice, in mm."""
    plane = view.node.GetSliceToRAS()
    normal, origin = (np.array([plane.GetElement(row, column) for row in range(3)]) for column in (2, 3))
    return abs(float(normal @ (np.asarray(point) - origin)))


@pytest.mark.parametrize("clicked", ["Red", "Green", "Yellow"])
def test_a_click_in_the_fixed_image_shows_phi_of_it(cursor, registration, clicked):
    view = cursor.views[clicked]
    view.node.JumpSliceByOffsetting(*START)
    view.click(START)
    x, y = marks(cursor)
    np.testing.assert_allclose(x, START, atol=1.5)  # a click hits a pixel
    np.testing.assert_allclose(y, registration.field(x[None])[0], atol=0.02)
    for above, below in COLUMNS:
        assert in_plane(cursor.views[above], x) < 1e-3
        assert in_plane(cursor.views[below], y) < 1e-3
        assert cursor.views[below].pixel(y) == cursor.views[above].pixel(x)


@pytest.mark.parametrize("clicked", ["Red+", "Yellow+"])
def test_a_click_in_the_moving_image_shows_its_origin(cursor, registration, clicked):
    target = registration.field(START[None])[0]
    view = cursor.views[clicked]
    view.node.JumpSliceByOffsetting(*target)
    view.click(target)
    x, y = marks(cursor)
    np.testing.assert_allclose(y, target, atol=1.5)
    np.testing.assert_allclose(registration.field(x[None])[0], y, atol=0.05)
    for above, below in COLUMNS:
        assert in_plane(cursor.views[above], x) < 1e-3
        assert in_plane(cursor.views[below], y) < 1e-3


def test_both_rows_show_their_image_at_the_same_zoom(cursor):
    assert cursor.volume(name="Red").GetName() == cursor.nodes.fixed.GetName()
    assert cursor.volume(name="Red+").GetName() == cursor.nodes.moving.GetName()
    cursor.views["Red"].node.SetFieldOfView(80.0, 80.0, 1.0)
    cursor.views["Red"].click(START)
    assert cursor.views["Red+"].node.GetFieldOfView()[:2] == pytest.approx((80.0, 80.0))


def test_a_drag_is_no_click(cursor):
    before = marks(cursor)
    cursor.views["Red"].drag(START, START + 30)
    np.testing.assert_array_equal(marks(cursor), before)


def test_a_click_that_places_a_markup_is_not_for_us(cursor):
    before = marks(cursor)
    interaction = cursor.scene.GetFirstNodeByClass("vtkMRMLInteractionNode")
    interaction.SetCurrentInteractionMode(interaction.Place)
    cursor.views["Red"].click(START)
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    np.testing.assert_array_equal(marks(cursor), before)


def test_clicks_afterwards_do_nothing(cursor):
    cursor.switch.leave()
    before = cursor.view_state()
    cursor.views["Red"].click(START)
    assert cursor.view_state() == before


def test_the_transform_may_be_below_another_one(preset_case, registration):
    """phi is the transform node's whole map from the world, wherever the node is."""
    from Testing.slicer.scene import from_world, linear_transform

    shift = np.eye(4)
    shift[:3, 3] = [4.0, 0.0, -6.0]
    preset_case.nodes.transform.SetAndObserveTransformNodeID(linear_transform(preset_case.scene, shift).GetID())
    cursor = preset_case.show("LinkedCursor")
    np.testing.assert_allclose(cursor.counterpart(START), from_world(preset_case.nodes.transform, START[None])[0])
    np.testing.assert_allclose(cursor.counterpart(cursor.counterpart(START), row=1), START, atol=0.05)
