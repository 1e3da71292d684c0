"""The figures in the results box."""

import pytest

MEASURED = {
    "seconds_total": 12.34,
    "device": "cpu",
    "dice_before": 0.7,
    "dice_aligned": 0.95,
    "dice_after": 0.984,
    "folded_percent": 0.25,
    "folded_percent_lung": 0.0,
    "mean_jacobian_lung": 1.184,
    "lung_volume_ratio": 1.183,
    "warnings": [],
}


@pytest.fixture
def text(slicer_application):
    from LungDeepRegWidgets.resultText import resultText

    return lambda **changes: resultText({**MEASURED, **changes})


def test_figures_stand_beside_what_they_are_compared_with(text):
    shown = text()
    for part in ("12.3 s on cpu", "0.700 before, 0.950 aligned, 0.984 after", "1.184; the lungs' volumes: 1.183"):
        assert part.replace("'", "&#x27;") in shown
    assert "Folded in the lungs" in shown
    assert "Please note" not in shown


def test_what_was_not_measured_is_left_out(text):
    nothing = dict.fromkeys(
        ("dice_before", "dice_aligned", "dice_after", "folded_percent_lung", "mean_jacobian_lung", "lung_volume_ratio")
    )
    shown = text(**nothing)
    assert "None" not in shown
    assert "Dice" not in shown
    assert "Jacobian" not in shown
    assert "0.25 %" in shown


def test_warnings_are_shown_as_text(text):
    shown = text(warnings=["a < b: no lung found"])
    assert "a &lt; b: no lung found" in shown
    assert "Please note" in shown
