"""Results of a registered 4D image as sequences in step with it: real sequences, real saving and loading."""

from contextlib import suppress
from functools import cache

import numpy as np
import pytest
import slicer
from LungDeepRegLib import DisplacementField, Volume
from LungDeepRegLib.geometry import Lattice, covering_lattice
from LungDeepRegLib.mrml import NodeError, PhaseResult, Series, publish_phase, registered_phases, volume_from_node
from LungDeepRegLib.mrml.made_of import MadeOf
from LungDeepRegLib.mrml.transforms import field_from_grid
from LungDeepRegLib.volume import canonical

from Testing.slicer.mrml_cases import TABLE, everything, fail_after, hierarchy_of, window
from Testing.slicer.scene import from_world, linear_transform
from Testing.slicer.series_cases import IMAGES, LATTICE, breathing, sequence_of, true_phi, world

SETTINGS = {"options": {"refine": "fast", "ratio": 0.1}, "weights": ["bundled"]}
WORLD = Lattice(LATTICE.shape, TABLE @ LATTICE.ijk_to_ras)
PHASES = (0, 2, 5)


@pytest.fixture
def series(scene):
    return Series(*breathing(scene, PHASES), "0")


@cache
def true_field(reference, phase, spacing):
    lattice = covering_lattice(WORLD, spacing, spacing)
    return DisplacementField.from_displacement(lambda x: true_phi(reference, phase, x) - x, lattice)


def result(series, value, *, warped=True, spacing=12.0, settings=SETTINGS):
    """A phase's true motion as if it had been registered."""
    phase = int(value) // 10
    field = true_field(int(series.reference) // 10, phase, spacing)
    image = Volume(np.full(WORLD.shape, 10 * phase, np.int16), WORLD.ijk_to_ras, "warped") if warped else None
    return PhaseResult(field, image, series.made_of(value, settings), {"dice_after": 0.9})


def publish(series, *values, **settings):
    for value in values:
        publish_phase(series, value, result(series, value, **settings))


def index_values(sequence):
    return [sequence.GetNthIndexValue(index) for index in range(sequence.GetNumberOfDataNodes())]


def stored(series, value):
    """The field and the deformed volume that lie in the sequences at an index value."""
    node = series.results("transform").GetDataNodeAtValue(value)
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    return field_from_grid(grid), volume_from_node(series.results("warped").GetDataNodeAtValue(value))


def reloaded(application, path, reference="0"):
    """The series of the saved scene."""
    from Testing.slicer.scene import reset

    scene = application.scene
    assert scene.WriteToMRB(str(path))
    reset(application)
    assert scene.ReadFromMRB(str(path), True)
    return Series(scene.GetFirstNodeByName("breath"), scene.GetFirstNodeByName("4D CT"), reference)


class TestPublishing:
    def test_a_phase_lies_at_its_index_value_beside_the_image(self, scene, series):
        hierarchy = hierarchy_of(scene)
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "4D")
        hierarchy.CreateItem(study, series.sequence)
        expected = result(series, "50")
        publish_phase(series, "50", expected)
        transforms, volumes = series.results("transform"), series.results("warped")
        assert (transforms.GetName(), volumes.GetName()) == ("Transforms 4D CT to 0 %", "Deformed volumes 4D CT to 0 %")
        for results in (transforms, volumes):
            assert index_values(results) == ["0", "50"]
            assert (results.GetIndexName(), results.GetIndexUnit()) == ("phase", "%")
            assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(results)) == study
        field, volume = stored(series, "50")
        np.testing.assert_array_equal(field.vectors, expected.field.vectors)
        assert field.lattice == expected.field.lattice
        np.testing.assert_array_equal(volume.array, expected.warped.array)
        assert volume.array.dtype == np.int16
        assert volume.lattice == WORLD

    def test_the_reference_does_not_move(self, series):
        publish(series, "50")
        field, volume = stored(series, "0")
        assert not field.vectors.any()
        np.testing.assert_array_equal(volume.array, IMAGES[0].array)
        assert volume.lattice == WORLD

    def test_vectors_are_stored_once_and_in_single_precision(self, series):
        publish(series, "50")
        for value in ("0", "50"):
            node = series.results("transform").GetDataNodeAtValue(value)
            grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False).GetDisplacementGrid()
            assert grid.GetPointData().GetScalars().GetDataTypeAsString() == "float"

    def test_whoever_plays_the_image_sees_the_results_in_step(self, scene, series):
        browser = series.browser
        browser.GetProxyNode(series.sequence).GetDisplayNode().AutoWindowLevelOff()
        browser.GetProxyNode(series.sequence).GetDisplayNode().SetWindowLevelMinMax(-1350, 150)
        publish(series, "50")
        transform = browser.GetProxyNode(series.results("transform"))
        volume = browser.GetProxyNode(series.results("warped"))
        assert window(volume) == (-1350, 150)
        points = world(np.array([[60.0, -10.0, -40.0]]))
        for index, value in enumerate(PHASES):
            browser.SetSelectedItemNumber(index)
            moved = from_world(transform, points)
            if value == 2:  # isn't registered: nothing, rather than the phase before
                np.testing.assert_allclose(moved, points)
                assert volume.GetImageData() is None
            else:
                assert np.linalg.norm(moved - true_phi(0, value, points)) < 1
                assert slicer.util.arrayFromVolume(volume).max() == (IMAGES[0].array.max() if value == 0 else 50)
        assert volume.GetName() == "Deformed 4D CT to 0 %"

    def test_the_image_is_not_changed(self, series):
        publish(series, "20", "50")
        for phase in PHASES:
            inside = volume_from_node(series.sequence.GetDataNodeAtValue(str(10 * phase)))
            np.testing.assert_array_equal(inside.array, IMAGES[phase].array)
            assert inside.lattice == LATTICE
        assert index_values(series.sequence) == ["0", "20", "50"]
        assert series.browser.GetMasterSequenceNode() is series.sequence

    def test_further_phases_and_repeated_ones_use_the_same_nodes(self, scene, series):
        publish(series, "50")
        before = everything(scene)
        publish(series, "20")
        publish_phase(series, "50", result(series, "50", spacing=15.0))
        assert everything(scene) == before
        assert index_values(series.results("transform")) == ["0", "20", "50"]
        assert stored(series, "50")[0].lattice.spacing_mm[0] == pytest.approx(15)

    def test_without_deformed_volumes(self, series):
        publish(series, "50", warped=False)
        assert series.results("warped") is None
        assert list(registered_phases(series, warped=False)) == ["0", "50"]
        assert registered_phases(series, warped=True) == {}
        publish(series, "50")
        assert list(registered_phases(series, warped=True)) == ["0", "50"]

    def test_another_reference_has_results_of_its_own(self, series):
        publish(series, "50")
        other = Series(series.browser, series.sequence, "50")
        assert other.results("transform") is None
        publish(other, "20")
        assert other.results("transform").GetName() == "Transforms 4D CT to 50 %"
        assert index_values(other.results("transform")) == ["20", "50"]
        assert index_values(series.results("transform")) == ["0", "50"]
        assert list(registered_phases(series, warped=True)) == ["0", "50"]

    def test_phases_in_words(self, scene):
        images = {"exhale": IMAGES[0], "inhale": IMAGES[5]}
        sequence = sequence_of(scene, images, unit="")
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "breath")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        series = Series(browser, sequence, "exhale")
        field = DisplacementField.from_matrix(np.eye(4), covering_lattice(LATTICE, 15.0, 15.0))
        publish_phase(series, "inhale", PhaseResult(field, None, series.made_of("inhale", SETTINGS), {}))
        assert index_values(series.results("transform")) == ["exhale", "inhale"]
        assert series.results("transform").GetName() == "Transforms 4D CT to exhale"

    @pytest.mark.parametrize("first", [True, False], ids=["first phase", "further phase"])
    def test_a_failure_half_way_leaves_the_scene_as_it_was(self, scene, series, monkeypatch, first):
        if not first:
            publish(series, "50")
        value = "20" if first else "50"
        found, before = result(series, value, spacing=15.0), everything(scene)
        steps = 0
        while True:
            with monkeypatch.context() as patch:
                left = fail_after(steps, patch)
                with suppress(MemoryError):
                    publish_phase(series, value, found)
                if left[0] >= 0:
                    break
            steps += 1
            assert everything(scene) == before
            assert series.browser.GetNumberOfSynchronizedSequenceNodes(True) == (1 if first else 3)
            if not first:
                assert stored(series, "50")[0].lattice.spacing_mm[0] == pytest.approx(12)
                assert list(registered_phases(series, warped=True)) == ["0", "50"]
        assert steps > (8 if first else 0)


class TestRemembering:
    def test_what_a_phase_was_made_of(self, series):
        publish(series, "50")
        known = registered_phases(series, warped=True)["50"]
        assert known == (series.made_of("50", SETTINGS), {"dice_after": 0.9})
        assert known[0] != series.made_of("50", {**SETTINGS, "weights": ["none"]})
        assert known[0] != series.made_of("20", SETTINGS)
        assert MadeOf.from_plain(known[0].plain()) == known[0]

    def test_a_changed_image_and_a_moved_one_are_noticed(self, scene, series):
        publish(series, "50")
        known = registered_phases(series, warped=True)["50"][0]
        shown = series.browser.GetProxyNode(series.sequence)
        moved = np.array(TABLE)
        moved[2, 3] += 1
        shown.SetAndObserveTransformNodeID(linear_transform(scene, moved).GetID())
        assert known != series.made_of("50", SETTINGS)
        shown.SetAndObserveTransformNodeID(linear_transform(scene, TABLE).GetID())
        assert known == series.made_of("50", SETTINGS)
        inside = series.sequence.GetDataNodeAtValue("50")
        slicer.util.updateVolumeFromArray(inside, IMAGES[5].array + 1)
        assert known != series.made_of("50", SETTINGS)

    def test_results_of_an_image_that_changed_meanwhile_are_refused(self, scene, series):
        found, before = result(series, "50"), everything(scene)
        slicer.util.updateVolumeFromArray(series.sequence.GetDataNodeAtValue("0"), IMAGES[0].array - 1)
        with pytest.raises(NodeError, match="4D CT 50 %: found another image"):
            publish_phase(series, "50", found)
        assert everything(scene) == before

    def test_a_removed_result_is_not_registered_any_more(self, scene, series):
        publish(series, "20", "50")
        series.results("warped").RemoveDataNodeAtValue("20")
        assert list(registered_phases(series, warped=True)) == ["0", "50"]
        scene.RemoveNode(series.results("transform"))
        assert registered_phases(series, warped=True) == {}

    @pytest.mark.parametrize("spacing", [12.0, 15.0], ids=["one lattice", "two lattices"])
    def test_everything_is_there_after_saving_and_loading(self, application, series, tmp_path, spacing):
        publish(series, "20")
        publish(series, "50", spacing=spacing)
        before = {value: stored(series, value) for value in ("0", "20", "50")}
        known = registered_phases(series, warped=True)
        again = reloaded(application, tmp_path / "breath.mrb")
        assert registered_phases(again, warped=True) == known
        for value, (field, volume) in before.items():
            field_now, volume_now = stored(again, value)
            np.testing.assert_allclose(field_now.vectors, field.vectors, atol=1e-5)
            assert field_now.lattice == field.lattice
            np.testing.assert_array_equal(canonical(volume_now).array, canonical(volume).array)
            assert canonical(volume_now).lattice == canonical(volume).lattice
            assert known[value][0] == again.made_of(value, SETTINGS)
        publish(again, "20")  # goes into the same sequences
        assert index_values(again.results("transform")) == ["0", "20", "50"]
        again.browser.SetSelectedItemNumber(2)
        points = world(np.array([[60.0, -10.0, -40.0]]))
        mapped = from_world(again.browser.GetProxyNode(again.results("transform")), points)
        assert np.linalg.norm(mapped - true_phi(0, 5, points)) < 1


class TestRefusing:
    def test_a_reference_that_cannot_be_registered(self, scene):
        browser, sequence = breathing(scene, (0, 5), {"20": None})
        assert Series(browser, sequence, "0").title("20") == "20 %"
        with pytest.raises(ValueError, match=r"scout.*found"):
            Series(browser, sequence, "20")

    def test_a_phase_that_does_not_exist(self, series):
        with pytest.raises(NodeError, match="breath: found no phase '30', expected one of 0, 20, 50"):
            Series(series.browser, series.sequence, "30")

    def test_a_nonlinear_transform_above(self, scene, series):
        tilt = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "gantry tilt")
        tilt.SetAndObserveTransformToParent(slicer.vtkOrientedGridTransform())
        series.browser.GetProxyNode(series.sequence).SetAndObserveTransformNodeID(tilt.GetID())
        with pytest.raises(NodeError, match="gantry tilt"):
            Series(series.browser, series.sequence, "0")

    def test_the_result_above_the_image_is_refused_in_a_further_run(self, series):
        publish(series, "50")
        transform = series.browser.GetProxyNode(series.results("transform"))
        series.browser.GetProxyNode(series.sequence).SetAndObserveTransformNodeID(transform.GetID())
        with pytest.raises(NodeError, match="which changes from phase to phase"):
            Series(series.browser, series.sequence, "0")
