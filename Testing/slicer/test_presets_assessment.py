"""What the presets of an assessment show: values in the lungs only, colors that mean something, and how to get it."""

import dataclasses
import importlib

import numpy as np
import pytest
from LungDeepRegLib.geometry import Lattice, apply
from LungDeepRegLib.mrml import publish_assessment, volume_from_node
from LungDeepRegLib.mrml.outputs import RUN_ATTRIBUTE
from LungDeepRegLib.mrml.volumes import image_data
from LungDeepRegLib.quality import NOT_MEASURED
from LungDeepRegLib.volume import Volume
from scipy.ndimage import binary_erosion

from Testing.slicer.assessment_cases import answer_of, values_at
from Testing.slicer.mrml_cases import window


def assess(case, **settings) -> None:
    transform = case.nodes.transform
    answer = answer_of(case.nodes, **settings)
    case.nodes = publish_assessment(answer, transform, transform.GetAttribute(RUN_ATTRIBUTE))


def shown_points(shown: Volume) -> np.ndarray:
    """Where a map has values, RAS mm."""
    return apply(shown.ijk_to_ras, np.argwhere(shown.array != NOT_MEASURED)[:, ::-1].astype(float))


def in_lungs(map_: Volume, lungs: Volume) -> Volume:
    return importlib.import_module("LungDeepRegWidgets.presets.inLungs").inLungs(map_, lungs)


def test_trust_is_drawn_where_the_lungs_are(preset_case):
    preset_case.show("Trust")
    shown = volume_from_node(preset_case.volume("Foreground"))
    assert (values_at(volume_from_node(preset_case.nodes.lungs), shown_points(shown)) > 0).all()
    trust = volume_from_node(preset_case.nodes.trust)
    values = shown.array[shown.array != NOT_MEASURED]
    known = trust.array[trust.array != NOT_MEASURED]
    assert known.min() - 1e-6 <= values.min()  # nothing of "not measured" gets into them
    assert values.mean() == pytest.approx(known.mean(), abs=0.03)
    assert window(preset_case.volume("Foreground")) == (0, 1)


def test_little_trust_is_red_and_much_is_blue(preset_case):
    preset_case.show("Trust", opacity=1.0)
    table = preset_case.volume("Foreground").GetDisplayNode().GetColorNode().GetLookupTable()
    low, high = (np.array(table.GetTableValue(index)[:3]) for index in (0, table.GetNumberOfTableValues() - 1))
    assert low[0] > 2 * low[2]
    assert high[2] > 2 * high[0]
    picture = preset_case.views["Red"].grab().astype(float)
    redness = picture[..., 0] - picture[..., 2]
    right, left = np.split(redness, 2, axis=1)  # trust rises from the patient's left to the right one, which is left
    assert right[np.abs(right) > 20].mean() < left[np.abs(left) > 20].mean()


def test_the_way_there_and_back_is_shown_in_mm_once_it_is_known(preset_case):
    assess(preset_case, backward=True)
    preset = preset_case.show("Trust", which="consistency")
    assert "mm" in preset.title()
    low, high = window(preset_case.volume("Foreground"))
    assert low == 0
    assert 3 < high < 8


def test_ventilation_has_no_change_in_the_middle_of_its_colors(preset_case):
    preset = preset_case.show("Ventilation")
    low, high = window(preset_case.volume("Foreground"))
    assert low == -high < 0
    assert "No sign" not in preset.note()


def test_without_knowing_the_inhaled_image_there_is_no_sign(preset_case):
    assess(preset_case, inhale=None)
    preset = preset_case.show("Ventilation")
    assert window(preset_case.volume("Foreground"))[0] == 0
    assert "say under Quality which volume" in preset.note()


@pytest.mark.parametrize(("name", "absent"), [("Trust", "trust"), ("Ventilation", "ventilation"), ("Trust", "lungs")])
def test_it_says_how_to_get_the_maps(preset_case, name, absent):
    preset = getattr(preset_case.presets, name)
    assert preset.missing(preset_case.nodes) == ""
    assert "Assess" in preset.missing(dataclasses.replace(preset_case.nodes, **{absent: None}))
    assert "Register first" in preset.missing(None)


@pytest.mark.parametrize("name", ["Trust", "Ventilation"])
def test_opacity(preset_case, name):
    preset = preset_case.show(name, opacity=0.3)
    assert preset_case.composite().GetForegroundOpacity() == pytest.approx(0.3)
    preset.setOpacity(0.9)
    assert preset_case.composite().GetForegroundOpacity() == pytest.approx(0.9)


def test_a_map_of_a_linear_function_is_that_function_in_large_lungs_of_any_geometry(preset_case):
    """Oblique and left-handed; so many voxels that only every third is drawn."""
    lungs = volume_from_node(preset_case.nodes.lungs)
    fine = np.array(lungs.ijk_to_ras)
    fine[:3, :3] /= 9
    shape = (180, 210, 240)
    marked = np.zeros(shape, np.uint8)
    marked[20:160, 15:195, 10:235] = 1
    large = Volume(marked, fine, "large")
    placed = np.diag([8.0, 8.0, 8.0, 1.0])
    placed[:3, 3] = (-220, -200, -170)
    lattice = Lattice((44, 48, 56), placed)
    points = apply(lattice.ijk_to_ras, np.indices(lattice.shape).reshape(3, -1)[::-1].T.astype(float))
    linear = (points @ [0.5, -0.3, 0.2] + 400).astype(np.float32).reshape(lattice.shape)
    shown = in_lungs(Volume(linear, lattice.ijk_to_ras, "linear"), large)
    assert 0.3e6 < shown.array.size <= 2.2e6
    where = shown_points(shown)
    assert len(where) == shown.array.size  # all of the box is lung
    np.testing.assert_allclose(shown.array[shown.array != NOT_MEASURED], where @ [0.5, -0.3, 0.2] + 400, atol=0.01)


def test_lungs_that_are_marked_nowhere_are_refused_by_name():
    nothing = Volume(np.zeros((4, 5, 6), np.uint8), np.eye(4), "Lungs exhale")
    with pytest.raises(ValueError, match="Lungs exhale: found no voxel that is marked"):
        in_lungs(nothing, nothing)


@pytest.mark.parametrize("which", ["trust", "residual"])
def test_the_worst_place_is_where_a_whole_neighborhood_is_bad(preset_case, which):
    assess(preset_case)
    node = getattr(preset_case.nodes, which)
    volume = volume_from_node(node)
    inner = binary_erosion(volume.array != NOT_MEASURED, iterations=2)
    k, j, i = np.argwhere(inner)[len(np.argwhere(inner)) // 3]
    array = np.where(volume.array == NOT_MEASURED, NOT_MEASURED, 0.9 if which == "trust" else 10.0).astype(np.float32)
    array[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = 0.1 if which == "trust" else 90.0
    node.SetAndObserveImageData(image_data(array))
    preset_case.show("Trust", which=which).goToWorst()
    expected = apply(volume.ijk_to_ras, np.array([i, j, k], float))
    for name in ("Red", "Green", "Yellow"):
        to_ras = preset_case.views[name].node.GetSliceToRAS()
        normal, origin = (np.array([to_ras.GetElement(row, column) for row in range(3)]) for column in (2, 3))
        assert abs(normal @ (origin - expected)) < 8.0
