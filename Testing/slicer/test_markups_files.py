"""Landmark files between this project and Slicer's own readers and writers."""

import numpy as np
import pytest
import slicer
from LungDeepRegLib.image_io import read_pair_lists, write_pair_lists
from LungDeepRegLib.landmark_review.pairs import LandmarkPair

STORAGE = {".fcsv": "vtkMRMLMarkupsFiducialStorageNode", ".mrk.json": "vtkMRMLMarkupsJsonStorageNode"}
PAIRS = [
    LandmarkPair('a "quoted", one', (1.25, -2.5, 1 / 3), (7.0, 800.5, -9.0), "A. Smith, MD", locked=True),
    LandmarkPair("Karína 3", (-40.125, 5.0, 6.0), None, "A. Smith, MD", state="doubtful"),
    LandmarkPair("c", (4.0, 5.0, 6.0), (-7.0, 80.5, -9.0), "A. Smith, MD", moving_provenance="assisted"),
]


def storage_node(scene, path, suffix):
    storage = getattr(slicer, STORAGE[suffix])()
    storage.SetScene(scene)
    storage.SetFileName(str(path))
    return storage


@pytest.mark.parametrize("suffix", STORAGE)
def test_slicer_reads_and_writes_our_lists_without_loss(scene, tmp_path, suffix):
    ours = [tmp_path / f"{image}{suffix}" for image in ("fixed", "moving")]
    theirs = [tmp_path / f"slicers {image}{suffix}" for image in ("fixed", "moving")]
    write_pair_lists(*ours, PAIRS)
    for source, target in zip(ours, theirs, strict=True):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "list")
        assert storage_node(scene, source, suffix).ReadData(node) == 1
        if "fixed" in source.name:
            assert [node.GetNthControlPointLabel(n) for n in range(3)] == [pair.label for pair in PAIRS]
            np.testing.assert_allclose(node.GetNthControlPointPosition(0), PAIRS[0].fixed_ras, atol=1e-9)
            assert [bool(node.GetNthControlPointLocked(n)) for n in range(3)] == [True, False, False]
            assert node.GetNthControlPointDescription(1).split()[:2] == ["provenance=manual", "state=doubtful"]
        assert storage_node(scene, target, suffix).WriteData(node) == 1
    again = read_pair_lists(*theirs)
    for pair, before in zip(again, PAIRS, strict=True):
        np.testing.assert_allclose(pair.fixed_ras, before.fixed_ras, rtol=1e-12)
        named = ("label", "observer", "fixed_provenance", "moving_provenance", "state", "locked")
        assert [getattr(pair, name) for name in named] == [getattr(before, name) for name in named]
    assert [pair.moving_ras is None for pair in again] == [False, True, False]
