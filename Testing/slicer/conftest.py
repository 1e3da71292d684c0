"""Fixtures of the tests that run on Slicer's real MRML, from the package slicer-core."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs slicer-core: pip install -e .[test]")
pytest.importorskip("PySide6", reason="needs PySide6: pip install -e .[test]")

import vtk
from LungDeepRegLib import DisplacementField, Options, register
from LungDeepRegLib.geometry import Lattice, apply, covering_lattice
from LungDeepRegLib.phantom import PhantomConfig, make_pair
from scipy.spatial.transform import Rotation

from Testing.slicer.gui import slicer_application, slicer_version, views  # noqa: F401
from Testing.slicer.kept_worker import kept_worker  # noqa: F401
from Testing.slicer.landmark_cases import landmark_case, landmark_panel, landmark_views  # noqa: F401
from Testing.slicer.preset_cases import preset_case  # noqa: F401
from Testing.slicer.scene import reset, start_application


@pytest.fixture(scope="session")
def application(tmp_path_factory):
    return start_application(tmp_path_factory.mktemp("slicer"))


@pytest.fixture
def scene(application):
    """An empty scene; an error that VTK or MRML reports fails the test."""
    errors = vtk.vtkStringOutputWindow()
    before = vtk.vtkOutputWindow.GetInstance()
    vtk.vtkOutputWindow.SetInstance(errors)
    reset(application)
    yield application.scene
    vtk.vtkOutputWindow.SetInstance(before)
    assert "error" not in errors.GetOutput().lower(), errors.GetOutput()


def oblique_lattice(shape, spacing_ijk, degrees, centre, flip=1.0):
    """A lattice that is turned, anisotropic and, with ``flip=-1``, left-handed."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * spacing_ijk * [flip, 1, 1]
    matrix[:3, 3] = np.asarray(centre) - matrix[:3, :3] @ (np.array(shape[::-1]) - 1) / 2
    return Lattice(shape, matrix)


@pytest.fixture(scope="session")
def pair():
    """A chest on two coarse lattices: the fixed one oblique and left-handed, the moving one coronal and shifted."""
    fixed = oblique_lattice((30, 28, 40), (9.0, 10.0, 10.5), (6, -8, 10), (0, -6, -3), flip=-1.0)
    coronal = np.array([[9.5, 0, 0], [0, 0, 10.0], [0, -9.0, 0]])  # i: R, j: I, k: A
    matrix = np.eye(4)
    matrix[:3, :3] = coronal
    matrix[:3, 3] = np.array([4.0, -2.0, 3.0]) - coronal @ [19.5, 17.0, 14.0]
    return make_pair(PhantomConfig(motion_mm=25.0), fixed, Lattice((29, 35, 40), matrix))


@pytest.fixture(scope="session")
def registration(pair):
    """A result of the real pipeline, with a hand-made smooth field of some 30 mm in place of a refined one."""
    found = register(pair.fixed, pair.moving, Options(alignment="none", refine="off"), checkpoint=None)
    lattice = covering_lattice(pair.fixed.lattice, 11.0, 11.0)
    field = DisplacementField.from_displacement(bend, lattice)
    warped, covered = field.warp(pair.moving, pair.fixed.lattice, fill=found.moving_intensity.fill)
    return dataclasses.replace(found, field=field, warped=warped, covered=covered)


def bend(x):
    """A smooth displacement ``(N, 3)`` in mm, different along each axis, with an offset."""
    turn = Rotation.from_euler("xyz", (3, -2, 4), degrees=True).as_matrix()
    waves = np.stack([8 * np.sin(x[:, 1] / 60), 6 * np.cos(x[:, 2] / 50), 14 * np.sin(x[:, 0] / 70)], axis=1)
    return apply(np.block([[turn - np.eye(3), np.array([[7.0], [-4.0], [9.0]])], [np.zeros((1, 3)), 1]]), x) + waves


@pytest.fixture
def nodes(scene, pair):
    """The pair as fixed and moving volume nodes."""
    from LungDeepRegLib.mrml import node_from_volume

    return node_from_volume(pair.fixed, scene), node_from_volume(pair.moving, scene)
