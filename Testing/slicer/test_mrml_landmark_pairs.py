"""Landmark pairs to and from the scene's point lists; phi of points by a transform node."""

from dataclasses import replace

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField, lattice_points
from LungDeepRegLib.landmark_review.pairs import LandmarkPair, Provenance, State
from LungDeepRegLib.landmarks import LandmarkError
from LungDeepRegLib.mrml import NodeError, node_from_field
from LungDeepRegLib.mrml.landmark_candidates import candidates_of, set_candidates
from LungDeepRegLib.mrml.landmark_pairs import (
    add_pair_lists,
    lonely_labels,
    pair_lists,
    pairs_of,
    rename_pair,
    set_pairs,
)
from LungDeepRegLib.mrml.phi import phi_of
from LungDeepRegLib.mrml.transforms import grid_from_field

from Testing.slicer.mrml_cases import everything, fail_after
from Testing.slicer.scene import from_world, linear_transform

TURNED = np.array([[0.0, -1.0, 0.0, 12.0], [1.0, 0.0, 0.0, -7.0], [0.0, 0.0, 1.0, 90.0], [0.0, 0.0, 0.0, 1.0]])
PAIRS = [
    LandmarkPair("1", (1.0, 2.0, 3.0), (4.0, 5.0, 6.5), "A"),
    LandmarkPair("apex, left", (-8.0, 0.5, 70.0), None, "A", state=State.DOUBTFUL),
    LandmarkPair("x", (3.0, 3.0, 3.0), (4.0, 4.0, 4.0), "A", moving_provenance=Provenance.AUTOMATIC, locked=True),
]


@pytest.fixture
def lists(nodes):
    made = add_pair_lists("A", *nodes)
    set_pairs(made, PAIRS)
    return made


def close(found, expected):
    for now, was in zip(found, expected, strict=True):
        np.testing.assert_allclose(now.fixed_ras, was.fixed_ras, atol=1e-9)
        if was.moving_ras is not None:
            np.testing.assert_allclose(now.moving_ras, was.moving_ras, atol=1e-9)
        assert replace(now, fixed_ras=was.fixed_ras, moving_ras=was.moving_ras) == was
        assert (now.moving_ras is None) == (was.moving_ras is None)


def test_pairs_come_back_as_they_were(lists, nodes):
    assert pairs_of(lists) == PAIRS
    (found,) = pair_lists(nodes[0].GetScene(), *nodes)
    assert (found.observer, found.both) == ("A", lists.both)
    assert pair_lists(nodes[0].GetScene(), *nodes[::-1]) == []


def test_positions_are_those_of_the_world(lists, scene):
    for node in lists.both:
        node.SetAndObserveTransformNodeID(linear_transform(scene, TURNED).GetID())
    set_pairs(lists, PAIRS)
    close(pairs_of(lists), PAIRS)
    np.testing.assert_allclose(lists.fixed.GetNthControlPointPositionWorld(0), PAIRS[0].fixed_ras, atol=1e-9)
    assert np.linalg.norm(np.subtract(lists.fixed.GetNthControlPointPosition(0), PAIRS[0].fixed_ras)) > 10


def test_points_that_stay_keep_what_slicer_knows_of_them(lists):
    point = lists.fixed.GetNthControlPointID(0)
    lists.fixed.SetNthControlPointDescription(0, "near the carina provenance=manual state=unreviewed")
    set_pairs(lists, [replace(PAIRS[0], state=State.ACCEPTED), PAIRS[2]])
    assert lists.fixed.GetNthControlPointID(0) == point
    assert lists.fixed.GetNthControlPointDescription(0) == "near the carina provenance=manual state=accepted"
    assert [pair.label for pair in pairs_of(lists)] == ["1", "x"]


def test_what_can_not_be_is_refused_by_name_and_changes_nothing(lists, nodes):
    before = pairs_of(lists)
    name = lists.fixed.GetName()
    with pytest.raises(LandmarkError, match="more than one landmark pair with the label 1"):
        set_pairs(lists, [PAIRS[0], PAIRS[0]])
    with pytest.raises(NodeError, match="found the label x already"):
        rename_pair(lists, "1", "x")
    with pytest.raises(NodeError, match="found no label"):
        rename_pair(lists, "1", " ")
    with pytest.raises(NodeError, match="A: found landmark lists of"):
        add_pair_lists("A", *nodes)
    lists.moving.SetLocked(True)
    with pytest.raises(NodeError, match=f"{lists.moving.GetName()}: found a locked list"):
        set_pairs(lists, [])
    lists.moving.SetLocked(False)
    assert pairs_of(lists) == before
    lists.fixed.SetNthControlPointDescription(0, "state=splendid")
    with pytest.raises(NodeError, match=f"{name}.*splendid"):
        pairs_of(lists)
    lists.fixed.SetNthControlPointDescription(0, "")
    lists.fixed.SetNthControlPointLabel(1, "1")
    with pytest.raises(NodeError, match=f"{name}: found the label 1 more than once"):
        pairs_of(lists)


def test_points_without_a_partner_and_without_a_place(lists):
    lists.moving.AddControlPointWorld(9, 9, 9, "lost")
    lists.fixed.AddControlPointWorld(9, 9, 9, "unset")
    lists.fixed.UnsetNthControlPointPosition(3)
    assert lonely_labels(lists) == ["lost"]
    assert pairs_of(lists) == PAIRS
    set_pairs(lists, PAIRS[:1])
    assert lonely_labels(lists) == ["lost"]  # nobody's to remove


@pytest.mark.parametrize("steps", range(0, 14, 3))
def test_lists_are_made_as_a_whole_or_not_at_all(nodes, monkeypatch, steps):
    before = everything(nodes[0].GetScene())
    with monkeypatch.context() as patch:
        left = fail_after(steps, patch)
        try:
            add_pair_lists("A", *nodes)
        except MemoryError:
            assert everything(nodes[0].GetScene()) == before
    if left[0] >= 0:
        assert len(pair_lists(nodes[0].GetScene(), *nodes)) == 1


def test_candidates_replace_those_before(nodes):
    first = set_candidates(nodes[0], np.zeros((3, 3)))
    second = set_candidates(nodes[0], np.ones((2, 3)))
    assert candidates_of(nodes[0]) is second
    assert first.GetScene() is None
    assert second.GetLocked()
    assert second.GetNthControlPointDescription(1) == "provenance=automatic"
    assert pair_lists(nodes[0].GetScene(), *nodes) == []


def test_phi_is_the_transforms_own(registration, scene, pair):
    points = pair.fixed_landmarks.points_ras
    node = node_from_field(registration.field, scene)
    np.testing.assert_allclose(phi_of(node)(points), registration.field(points), atol=1e-4)
    node.SetAndObserveTransformNodeID(linear_transform(scene, TURNED).GetID())
    np.testing.assert_allclose(phi_of(node)(points), from_world(node, points), atol=1e-6)


def test_phi_without_an_inverse_is_refused_by_name(registration, scene, pair):
    flat = linear_transform(scene, np.diag([1.0, 1.0, 0.0, 1.0]), "flat")
    with pytest.raises(NodeError, match="flat: found a transform with the determinant 0"):
        phi_of(flat)
    lattice = registration.field.lattice
    vectors = np.zeros_like(registration.field.vectors)
    vectors[..., 2] = -lattice_points(lattice)[:, 2].reshape(lattice.shape)  # everything comes to lie in one plane
    squeezed = scene.AddNewNodeByClass("vtkMRMLTransformNode", "squeezed")
    squeezed.SetAndObserveTransformToParent(grid_from_field(DisplacementField(vectors, lattice)))
    with pytest.raises(NodeError, match=r"squeezed: found no place for \d+ of"):
        phi_of(squeezed)(pair.fixed_landmarks.points_ras)
