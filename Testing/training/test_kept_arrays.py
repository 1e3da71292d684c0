"""Files of arrays that are kept between runs."""

import os

import numpy as np
import pytest

from training.kept_arrays import CacheWarning, file_state, kept_arrays

ARRAYS = {"image": np.arange(24, dtype=np.float16).reshape(2, 3, 4), "word": np.array("ct")}


def make_once():
    """Arrays that can be made a single time."""
    left = [ARRAYS]
    return left.pop


def never():
    pytest.fail("made although there is a file")


def test_arrays_are_made_once_and_then_read(tmp_path):
    first = kept_arrays(tmp_path / "a" / "b", "scan", ["key", 1], make_once())
    second = kept_arrays(tmp_path / "a" / "b", "scan", ["key", 1], never)
    for found in (first, second):
        assert found.keys() == ARRAYS.keys()
        assert found["image"].dtype == np.float16
        assert np.array_equal(found["image"], ARRAYS["image"])
        assert str(found["word"]) == "ct"
    assert [path.name[:5] for path in (tmp_path / "a" / "b").iterdir()] == ["scan_"]


def test_another_key_or_kind_has_a_file_of_its_own(tmp_path):
    for kind, key in (("scan", {"a": 1, "b": 2}), ("scan", {"a": 1, "b": 3}), ("chest", {"a": 1, "b": 2})):
        kept_arrays(tmp_path, kind, key, make_once())
    assert len(list(tmp_path.iterdir())) == 3
    kept_arrays(tmp_path, "scan", {"b": 2, "a": 1}, never)


@pytest.mark.parametrize("content", [b"", b"not a zip file", "cut off", "flipped"])
def test_a_broken_file_is_made_anew_with_a_warning(tmp_path, content):
    kept_arrays(tmp_path, "scan", 1, make_once())
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"NUMPY") + 140] ^= 255  # a voxel
    path.write_bytes({"cut off": whole[:-60], "flipped": bytes(flipped)}.get(content, content))
    with pytest.warns(CacheWarning, match=f"{path.name}: found a broken file .*made anew"):
        found = kept_arrays(tmp_path, "scan", 1, make_once())
    assert np.array_equal(found["image"], ARRAYS["image"])
    kept_arrays(tmp_path, "scan", 1, never)


def test_what_fails_leaves_nothing_behind(tmp_path):
    def fail():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        kept_arrays(tmp_path, "scan", 1, fail)
    with pytest.raises(AttributeError):
        kept_arrays(tmp_path, "scan", 1, lambda: {"a": np.ones(3), "b": Unwritable()})
    assert list(tmp_path.iterdir()) == []


class Unwritable:
    """Fails when it is written, after other arrays were."""

    def __array__(self, *_, **__):
        raise AttributeError


def test_the_state_of_a_file_changes_with_it(tmp_path):
    path = tmp_path / "scan.nii"
    missing = file_state(path)
    path.write_bytes(b"12")
    before = file_state(path)
    os.utime(path, ns=(1, 1))
    touched = file_state(path)
    path.write_bytes(b"123")
    os.utime(path, ns=(1, 1))
    grown = file_state(path)
    states = [missing, before, touched, grown]
    assert all(a != b for n, a in enumerate(states) for b in states[n + 1 :])
    assert file_state(tmp_path / "." / "scan.nii") == grown


def test_the_state_of_a_folder_is_that_of_its_files(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(b"1")
    one = file_state(tmp_path)
    (tmp_path / "series" / "2.dcm").write_bytes(b"2")
    two = file_state(tmp_path)
    assert [len(one), len(two)] == [1, 2]
    assert two[0] == one[0]
