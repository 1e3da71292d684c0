"""What each display preset shows: values, colors and directions, in the picture where that says more."""

import dataclasses
import importlib

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import apply
from LungDeepRegLib.mrml import volume_from_node
from LungDeepRegLib.mrml.transforms import grid_from_field
from LungDeepRegLib.volume import Volume
from scipy.ndimage import map_coordinates
from vtk.util.numpy_support import vtk_to_numpy

from Testing.slicer.assessment_cases import values_at
from Testing.slicer.mrml_cases import window


def module(name):
    return importlib.import_module(f"LungDeepRegWidgets.presets.{name}")


def drawn_transform(case):
    nodes = [case.scene.GetNthNodeByClass(n, "vtkMRMLTransformNode") for n in range(
        case.scene.GetNumberOfNodesByClass("vtkMRMLTransformNode"))]  # fmt: skip
    return next(node for node in nodes if node.GetDisplayNode() is not None and node.GetDisplayNode().GetVisibility())


def colorfulness(picture) -> float:
    """Mean distance of a picture's colors from gray."""
    return float(np.ptp(picture.astype(float), axis=2).mean())


def test_overlay_is_gray_where_images_agree_and_colored_where_not(preset_case):
    preset_case.nodes.warped.SetAndObserveImageData(preset_case.nodes.fixed.GetImageData())  # a perfect result
    overlay = preset_case.show("Overlay")
    after = colorfulness(preset_case.views["Green"].grab())
    overlay.setAfter(False)
    assert colorfulness(preset_case.views["Green"].grab()) > 5 * after + 2
    overlay.setOpacity(0.0)
    red, _, blue = preset_case.views["Green"].grab().reshape(-1, 3).mean(axis=0)
    assert blue > 1.5 * red
    overlay.setAfter(True)
    overlay.setOpacity(1.0)
    red, _, blue = preset_case.views["Green"].grab().reshape(-1, 3).mean(axis=0)
    assert red > 1.5 * blue


def test_ct_gets_the_lung_window_in_both_images(preset_case):
    preset_case.show("Overlay")
    assert window(preset_case.volume("Background")) == window(preset_case.volume("Foreground")) == (-1350, 150)


def test_other_images_get_the_fixed_ones_own_window(preset_case):
    for node in (preset_case.nodes.fixed, preset_case.nodes.moving):
        scalars = node.GetImageData().GetPointData().GetScalars()
        values = np.random.default_rng(1).integers(0, 900, scalars.GetNumberOfTuples())
        for index, value in enumerate(values.tolist()):
            scalars.SetTuple1(index, value)
    preset_case.nodes.fixed.GetDisplayNode().AutoWindowLevelOff()
    preset_case.nodes.fixed.GetDisplayNode().SetWindowLevelMinMax(20, 600)
    preset_case.show("Overlay")
    assert window(preset_case.volume("Background")) == window(preset_case.volume("Foreground")) == (20, 600)


def test_shown_volumes_share_the_voxels(preset_case):
    preset_case.show("Overlay")
    assert preset_case.volume("Background").GetImageData() is preset_case.nodes.fixed.GetImageData()
    assert preset_case.volume("Background").GetTransformNodeID() == preset_case.nodes.fixed.GetTransformNodeID()


def test_checkerboard_takes_cubes_of_both_in_turn(preset_case):
    board = preset_case.show("Checkerboard", squares=4)
    fixed, warped = (volume_from_node(getattr(preset_case.nodes, name)) for name in ("fixed", "warped"))
    shown = volume_from_node(preset_case.volume())
    assert shown.lattice == warped.lattice
    np.testing.assert_array_equal(shown.array, in_cubes(fixed, warped.array, 4))
    board.setSquares(2)
    assert (volume_from_node(preset_case.volume()).array != shown.array).any()


def in_cubes(fixed, other, squares) -> np.ndarray:
    """An array and that of a fixed volume in turn, in cubes."""
    spacing = fixed.lattice.spacing_mm[::-1]
    size = np.round((spacing * other.shape).max() / squares / spacing)
    k, j, i = np.indices(other.shape)
    odd = (k // size[0] + j // size[1] + i // size[2]) % 2 == 1
    return np.where(odd, other, fixed.array)


def test_checkerboard_of_a_scanner_that_adds_1024(preset_case):
    for node in (preset_case.nodes.moving, preset_case.nodes.warped):
        vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())[:] += 1024
    preset_case.show("Checkerboard", squares=4)
    fixed, warped = (volume_from_node(getattr(preset_case.nodes, name)) for name in ("fixed", "warped"))
    expected = in_cubes(fixed, warped.array - 1024, 4)
    np.testing.assert_allclose(volume_from_node(preset_case.volume()).array, expected, atol=1)


def test_checkerboard_of_other_voxels_is_refused(preset_case):
    preset_case.nodes = dataclasses.replace(preset_case.nodes, warped=preset_case.nodes.moving)
    with pytest.raises(ValueError, match=r"phantom inhale: found .* expected those of phantom exhale"):
        preset_case.show("Checkerboard")


def test_checkerboard_brings_other_units_into_the_fixed_ones():
    mr = np.array([0.0, 500.0, 1000.0], np.float32)
    matched = module("checkerboard").matched(mr, (0.0, 1000.0), (-1350.0, 150.0), np.int16)
    np.testing.assert_array_equal(matched, np.array([-1350, -600, 150], np.int16))


def test_differences_share_a_symmetric_window(preset_case):
    preset_case.show("Difference")
    before, after = preset_case.volume(name="Red"), preset_case.volume(name="Red+")
    assert before.GetImageData() is preset_case.nodes.difference_before.GetImageData()
    assert after.GetImageData() is preset_case.nodes.difference.GetImageData()
    low, high = window(before)
    assert window(after) == (low, high)
    assert low == -high < 0
    pictures = [preset_case.views[name].grab()[:, :60].mean() for name in ("Green", "Green+")]
    assert pictures[0] > 1.2 * pictures[1]  # twice the difference, see outcome_of


def test_rows_of_the_differences_scroll_together(preset_case):
    preset_case.show("Difference")
    for name in ("Red", "Red+"):
        assert preset_case.views[name].node.GetViewGroup() == 0
        assert preset_case.composite(name).GetLinkedControl() == preset_case.composite(name).GetHotLinkedControl() == 1
    assert list(preset_case.views["Red"].node.GetFieldOfView()) == pytest.approx(
        list(preset_case.views["Red+"].node.GetFieldOfView())
    )


def test_jacobian_keeps_its_values_and_colors_their_logarithm(preset_case):
    preset_case.nodes = dataclasses.replace(preset_case.nodes, lungs=None)
    preset_case.show("Jacobian")
    shown = preset_case.volume("Foreground")
    assert shown.GetImageData() is preset_case.nodes.jacobian.GetImageData()
    low, high = window(shown)
    table = shown.GetDisplayNode().GetColorNode().GetLookupTable()

    def color(value):
        return np.array(table.GetTableValue(round((value - low) / (high - low) * (table.GetNumberOfTableValues() - 1))))

    colors = module("colors")
    for value in (0.55, 0.8, 1.0, 1.25, 1.9):
        position = np.log2(value) / 2 + 0.5
        np.testing.assert_allclose(color(value)[:3], colors.ramp(colors.JACOBIAN, np.array([position]))[0], atol=0.02)
    assert color(1.0)[:3].max() < 0.1  # dark in the middle


def test_jacobian_is_drawn_in_the_lungs_only(preset_case):
    preset_case.show("Jacobian")
    node = preset_case.volume("Foreground")
    shown, lungs = volume_from_node(node), volume_from_node(preset_case.nodes.lungs)
    points = np.argwhere(shown.array > -1000)[:, ::-1] @ shown.ijk_to_ras[:3, :3].T + shown.ijk_to_ras[:3, 3]
    assert len(points) == np.count_nonzero(lungs.array)  # few voxels: none is left out
    assert (values_at(lungs, points) > 0).all()
    jacobian = volume_from_node(preset_case.nodes.jacobian)
    expected = map_coordinates(jacobian.array, apply(jacobian.lattice.ras_to_ijk, points).T[::-1], order=1)
    np.testing.assert_allclose(shown.array[shown.array > -1000], expected, atol=1e-4)
    outside = preset_case.views["Green"].grab()
    node.GetDisplayNode().ApplyThresholdOff()
    assert (outside != preset_case.views["Green"].grab()).any(axis=2).mean() > 0.1


def test_jacobian_bar_has_1_in_its_middle(preset_case):
    preset_case.show("Jacobian")
    bar = preset_case.scene.GetFirstNodeByClass("vtkMRMLColorLegendDisplayNode")
    source = bar.GetPrimaryDisplayNode()
    table = source.GetColorNode().GetLookupTable()
    assert table.UsingLogScale()
    assert (source.GetWindowLevelMin(), source.GetWindowLevelMax()) == (0.5, 2.0)
    middle = np.array(table.GetTableValue(table.GetNumberOfTableValues() // 2)[:3])
    assert middle.max() < 0.1


@pytest.mark.parametrize(
    ("name", "view"), [("Jacobian", "Yellow"), ("Displacement", "Yellow"), ("Difference", "Yellow+")]
)
def test_the_bar_is_drawn_in_one_view(preset_case, name, view):
    for area in preset_case.views.views.values():
        area.resize((300, 300))
    preset_case.views.size = (900, 600)
    preset_case.show(name)
    bars = [preset_case.scene.GetNthNodeByClass(n, "vtkMRMLColorLegendDisplayNode") for n in range(2)]
    bar = next(bar for bar in bars if bar is not None and bar.GetNthViewNodeID(0) == f"vtkMRMLSliceNode{view}")
    with_bar = preset_case.views[view].grab()
    bar.SetVisibility(False)
    assert (with_bar != preset_case.views[view].grab()).any(axis=2).mean() > 0.005


def test_arrows_start_in_the_fixed_image_and_lead_to_the_moving_one(preset_case, registration):
    preset_case.show("Displacement", style="grid", withoutOffset=False)
    to_parent = drawn_transform(preset_case).GetTransformToParent()
    points = np.random.default_rng(2).uniform(-60, 60, (50, 3))
    moved = np.array([to_parent.TransformPoint(point) for point in points.tolist()])
    np.testing.assert_allclose(moved, registration.field(points), atol=1e-2)


def test_the_mean_displacement_is_left_out_where_it_is_the_tables(preset_case, registration):
    shift = np.array([30.0, -20.0, 12.0])
    field = registration.field
    far = DisplacementField(field.vectors + 3 * shift.astype(np.float32), field.lattice)
    assert not preset_case.show("Displacement").withoutOffset
    preset_case.nodes.transform.SetAndObserveTransformFromParent(grid_from_field(far))
    shown = preset_case.show("Displacement", style="grid")
    assert shown.withoutOffset
    assert f"{np.linalg.norm(shown.offset):.1f} mm" in shown.note()
    covered = volume_from_node(preset_case.nodes.coverage)
    k, j, i = np.argwhere(covered.array > 0).T
    points = np.stack([i, j, k], axis=1) @ covered.ijk_to_ras[:3, :3].T + covered.ijk_to_ras[:3, 3]
    np.testing.assert_allclose(shown.offset, (far(points) - points).mean(axis=0), atol=1.0)
    to_parent = drawn_transform(preset_case).GetTransformToParent()
    moved = np.array([to_parent.TransformPoint(point) for point in points[::40].tolist()])
    np.testing.assert_allclose(moved, far(points[::40]) - shown.offset, atol=1e-2)


def test_magnitude_is_in_mm(preset_case, registration):
    preset_case.show("Displacement", style="magnitude", withoutOffset=False)
    shown = volume_from_node(preset_case.volume("Foreground"))
    sizes = np.linalg.norm(registration.field.vectors, axis=3)
    np.testing.assert_allclose(shown.array, sizes, atol=1e-4)
    low, high = window(preset_case.volume("Foreground"))
    assert low == 0
    assert 0.7 * sizes.max() < high < 1.5 * sizes.max()


def test_arrows_are_in_the_3d_view_too(preset_case):
    preset_case.show("Displacement")
    drawn = drawn_transform(preset_case).GetDisplayNode()
    assert drawn.GetRegionNode().IsA("vtkMRMLSliceNode")
    with_arrows = preset_case.views["1"].grab()
    drawn.SetVisibility3D(False)
    assert (with_arrows != preset_case.views["1"].grab()).any(axis=2).mean() > 0.01


def test_no_arrows_beside_the_image(preset_case):
    """Between two nodes the field goes to zero, so one node's distance around the covered part may have some."""
    preset_case.show("Displacement", withoutOffset=False)
    to_parent = drawn_transform(preset_case).GetTransformToParent()
    covered = volume_from_node(preset_case.nodes.coverage)
    far = covered.lattice.centre_ras + 500.0 * np.eye(3)
    np.testing.assert_allclose([to_parent.TransformPoint(point) for point in far.tolist()], far, atol=1e-6)


def test_a_large_field_is_thinned_in_place(registration):
    field = registration.field
    thin = module("drawnField").thinned(field, 500)
    assert np.prod(thin.lattice.shape) <= 1000 < np.prod(field.lattice.shape)
    nodes = np.argwhere(np.ones(thin.lattice.shape))[:, ::-1]
    points = nodes @ thin.lattice.ijk_to_ras[:3, :3].T + thin.lattice.ijk_to_ras[:3, 3]
    np.testing.assert_allclose(field(points) - points, thin.vectors.reshape(-1, 3), atol=1e-3)


@pytest.mark.parametrize(("value", "limit"), [(31.0, 32.0), (0.0, 0.001), (920.0, 1000.0), (4.0, 4.0), (1.3, 1.6)])
def test_scales_end_at_numbers_that_can_be_read(value, limit):
    assert module("colors").niceLimit(value) == pytest.approx(limit)


@pytest.mark.parametrize(
    ("limits", "expected"), [((0.0, 32.0), 0), ((0.0, 10.0), 1), ((0.0, 1.0), 2), ((-800.0, 800.0), 0)]
)
def test_numbers_beside_a_bar_have_the_decimals_they_need(limits, expected):
    assert module("colors").decimals(limits) == expected


def test_without_lungs_the_middle_of_the_image_is_shown(scene, slicer_application):
    from LungDeepRegLib.mrml import node_from_volume

    water = node_from_volume(Volume(np.zeros((10, 12, 14), np.int16), np.eye(4), "water"), scene)
    np.testing.assert_allclose(module("lungs").middleOfLungs(water), (6.5, 5.5, 4.5))
