"""Placing landmark pairs by clicks in the views."""

import numpy as np
import pytest


@pytest.fixture
def case(landmark_case):
    return landmark_case


@pytest.fixture
def places(pair):
    """True pairs of places."""
    return list(zip(pair.fixed_landmarks.points_ras, pair.moving_landmarks.points_ras, strict=True))


def test_two_clicks_make_a_pair_at_their_places(case, places):
    case.start()
    label = case.place(*places[0])
    (pair,) = case.book.pairs
    np.testing.assert_allclose(pair.fixed_ras, case.clicked[label]["fixed"], atol=1e-3)
    np.testing.assert_allclose(pair.moving_ras, case.clicked[label]["moving"], atol=1e-3)
    np.testing.assert_allclose(pair.fixed_ras, places[0][0], atol=1.5)
    assert pair.blind
    assert case.labels() == ["1"]
