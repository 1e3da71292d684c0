"""What the classifier's network sees: no affine part, lungs only, every lung's base at one place."""

from __future__ import annotations

import numpy as np
import pytest

from training.classification.lung_box import BOX, boxed, in_lung_boxes, nonlinear
from training.classification.residuals import SPACING_MM, Residuals

SHAPE = (24, 18, 26)


def lungs(low: tuple[int, int, int] = (4, 3, 5), high: tuple[int, int, int] = (20, 15, 21)) -> np.ndarray:
    found = np.zeros(SHAPE, np.float32)
    found[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return found


def positions() -> np.ndarray:
    """In mm along S, A, R, ``(3, K, J, I)``."""
    return SPACING_MM * np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")).astype(float)


def affine_motion() -> np.ndarray:
    matrix = np.array([[0.1, -0.03, 0.2], [0.0, 0.05, 0.1], [0.3, 0.02, -0.1]])
    return np.einsum("cd,dkji->ckji", matrix, positions()) + np.array([12.0, -30.0, 7.0])[:, None, None, None]


def test_an_affine_motion_leaves_nothing():
    assert np.abs(nonlinear(affine_motion(), lungs())).max() < 1e-6


def test_what_isnt_affine_stays_whatever_affine_motion_is_added():
    wave = np.stack([np.sin(positions()[0] / 30), np.cos(positions()[2] / 40), 0 * positions()[1]])
    alone, with_affine = (nonlinear(u, lungs()) for u in (wave, wave + affine_motion()))
    assert np.abs(alone - with_affine).max() < 1e-6
    assert np.abs(alone[:, lungs() > 0]).max() > 0.5


def test_the_base_is_at_the_same_place_in_small_and_large_lungs():
    height = np.stack([positions()[0]] * 3)
    for low, high in (((2, 1, 2), (22, 17, 24)), ((8, 6, 8), (16, 12, 18))):
        u, amount = boxed(height, lungs(low, high))
        first, last = SPACING_MM * (low[0] - 0.5), SPACING_MM * (high[0] - 0.5)
        expected = first + (np.arange(BOX[0]) + 0.5) * (last - first) / BOX[0]
        inner = (slice(2, -2), BOX[1] // 2, BOX[2] // 2)
        assert u[(0, *inner)] == pytest.approx(expected[2:-2])
        assert amount[inner] == pytest.approx(1)


def test_outside_the_lungs_there_is_nothing():
    found = lungs()
    found[4:12, 3:9, 5:13] = 0  # a corner of their box without lung
    wild = np.random.default_rng(0).normal(0, 100, (2, 3, *SHAPE))
    boxes = in_lung_boxes(Residuals(wild, np.stack([found, lungs()]), {}))
    assert boxes.displacement.shape == (2, 3, *BOX)
    assert not boxes.displacement[0, :, :6, :4, :6].any()
    assert boxes.displacement[1, :, :6, :4, :6].any()
