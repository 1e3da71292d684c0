"""Requests and answers as folders: whatever goes in comes out, to the last bit."""

import dataclasses
import json

import numpy as np
import pytest
from LungDeepRegLib.displacement_field import DisplacementField
from LungDeepRegLib.geometry import Lattice
from LungDeepRegLib.landmarks import Landmarks
from LungDeepRegLib.outcome import Outcome
from LungDeepRegLib.volume import Volume
from LungDeepRegLib.worker.exchange import ExchangeError, Packing, load, pieces, save
from scipy.spatial.transform import Rotation

SHAPE = (5, 4, 3)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [12.345, -1 / 3, 77.7], degrees=True).as_matrix() * [-0.1, 1 / 3, 2.7]
OBLIQUE[:3, 3] = [1e-17, -123456.789012345, np.pi]
TYPES = ["?", "i1", "u1", "<i2", ">i2", "<u4", ">u8", "i8", "<f2", ">f4", "<f8", ">f8", np.dtype(np.longdouble).str]


def passed(value, folder):
    save(value, folder / "passed")
    return load(folder / "passed")


def odd_values(dtype):
    """All bits set and cleared, NaN and infinity where there are any."""
    array = np.random.default_rng(1).normal(scale=50, size=SHAPE).astype(np.dtype(dtype))
    if array.dtype.kind == "f":
        array.flat[:4] = [np.nan, np.inf, -np.inf, -0.0]
    elif array.dtype.kind in "iu":
        array.flat[:2] = [np.iinfo(array.dtype).min, np.iinfo(array.dtype).max]
    return array


def assert_same(found, volume):
    assert found.array.dtype == volume.array.dtype  # byte order too
    assert found.array.dtype.byteorder == volume.array.dtype.byteorder
    assert found.array.tobytes() == volume.array.tobytes()
    assert found.ijk_to_ras.tobytes() == volume.ijk_to_ras.tobytes()
    assert found.name == volume.name


@pytest.mark.parametrize("dtype", TYPES)
def test_volumes_of_every_type(dtype, tmp_path):
    volume = Volume(odd_values(dtype), OBLIQUE, 'Lunge größer 肺 🫁 \ud800 "\\\n')
    assert_same(passed(volume, tmp_path), volume)


@pytest.mark.parametrize(
    "view",
    [np.asfortranarray, lambda a: a.transpose(2, 0, 1), lambda a: a[::-1, ::2, 1:], lambda a: a[..., ::-1]],
    ids=["fortran", "turned", "cut", "mirrored"],
)
def test_arrays_that_are_views_of_other_memory(view, tmp_path):
    array = view(np.arange(5 * 6 * 7, dtype=">i4").reshape(5, 6, 7))
    assert_same(passed(Volume(array, OBLIQUE), tmp_path), Volume(array, OBLIQUE))


@pytest.mark.parametrize("size", [7, 8, 64, 10**6])
def test_pieces_are_bounded_and_in_order(size):
    array = np.random.default_rng(2).integers(0, 9, (6, 5, 4, 3), dtype=np.int16)
    for some in (array, array.transpose(3, 1, 0, 2), array[:, ::-1]):
        found = list(pieces(some, max(size, 2)))
        assert b"".join(piece.tobytes() for piece in found) == some.tobytes()
        assert max(piece.nbytes for piece in found) <= size


def test_contiguous_arrays_are_not_copied():
    array = np.zeros((50, 40, 30), np.int16)
    assert all(np.shares_memory(piece, array) for piece in pieces(array, 1000))


def test_everything_else(tmp_path):
    lattice = Lattice(SHAPE, OBLIQUE)
    field = DisplacementField(np.random.default_rng(3).normal(size=(*SHAPE, 3)), lattice)
    points = Landmarks(np.random.default_rng(4).normal(size=(3, 3)) * 1e5 / 3, ("a", "ü", ""), "points")
    value = {
        "lattice": lattice,
        "field": field,
        "points": points,
        "nested": [{"type": "volume", "file": None}, [], {}, (1, 2.5, None, True, "\u2028")],
        "numpy": [np.float32(0.1), np.int64(2**62), np.bool_(True), np.float64(-0.0)],
        "numbers": [1e-320, float("inf"), -float("inf"), 10**30],
        "nan": float("nan"),
    }
    found = passed(value, tmp_path)
    assert found["lattice"].shape == SHAPE
    assert found["lattice"].ijk_to_ras.tobytes() == lattice.ijk_to_ras.tobytes()
    assert found["field"].vectors.tobytes() == field.vectors.tobytes()
    assert found["field"].lattice.ijk_to_ras.tobytes() == lattice.ijk_to_ras.tobytes()
    assert found["points"].points_ras.tobytes() == points.points_ras.tobytes()
    assert (found["points"].labels, found["points"].name) == (points.labels, points.name)
    assert found["nested"] == [{"type": "volume", "file": None}, [], {}, [1, 2.5, None, True, "\u2028"]]
    assert found["numpy"] == [float(np.float32(0.1)), 2**62, True, 0.0]
    assert found["numbers"] == value["numbers"]
    assert np.isnan(found["nan"])


def test_an_outcome(tmp_path):
    lattice = Lattice(SHAPE, OBLIQUE)
    images = [Volume(odd_values(dtype), OBLIQUE, dtype) for dtype in ("<i2", "u1", "<i4", ">i2", "<f4")]
    field = DisplacementField(np.random.default_rng(3).normal(size=(*SHAPE, 3)), lattice)
    outcome = Outcome(field, *images, None, {"dice_after": None, "seconds": {"align": 0.1}})
    found = passed(outcome, tmp_path)
    for entry in dataclasses.fields(Outcome):
        ours, theirs = getattr(outcome, entry.name), getattr(found, entry.name)
        if isinstance(ours, Volume):
            assert_same(theirs, ours)
    assert found.field.vectors.tobytes() == field.vectors.tobytes()
    assert found.fixed_lungs is None
    assert found.summary == outcome.summary


def test_what_was_read_may_be_changed(tmp_path):
    found = passed(Volume(np.zeros(SHAPE), OBLIQUE), tmp_path)
    found.array[:] = 1
    assert found.array.all()


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, [{"x": {3, 4}}], np.zeros(3)], ids=["object", "key", "set", "array"]
)
def test_other_values_are_refused_at_once(value, tmp_path):
    with pytest.raises(ExchangeError, match="expected"):
        Packing(value, tmp_path / "never")
    assert not list(tmp_path.iterdir())


def test_a_cut_file_is_named(tmp_path):
    save([Volume(np.zeros(SHAPE), OBLIQUE)], tmp_path / "x")
    (tmp_path / "x" / "0.raw").write_bytes(bytes(8 * 59))
    with pytest.raises(ExchangeError, match=r"0\.raw: found 472 bytes, expected 480"):
        load(tmp_path / "x")
    with pytest.raises(ExchangeError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_the_json_is_ascii_without_a_locale_in_it(tmp_path):
    save({"größe": "肺"}, tmp_path / "x")
    text = (tmp_path / "x" / "content.json").read_bytes()
    assert json.loads(text.decode("ascii"))["value"] == {"größe": "肺"}
