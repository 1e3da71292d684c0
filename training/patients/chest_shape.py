"""The measures of a synthetic patient's chest."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ChestShape:
    """What makes one chest different from another: the table ``[anatomy]``, which has a range for each. Lengths in mm.

    Attributes:
        half_width: Of the rib cage at its widest.
        half_depth_front: From the middle of the rib cage to the front.
        half_depth_back: Likewise to the back.
        apex: Height of the apices.
        shoulder: Height where the cage begins to close.
        round_front: Exponent of the cage's outline in front: 2 for an ellipse, more for a fuller one.
        round_back: Likewise behind.
        flare: How much wider, relatively, the base is than a barrel.
        asymmetry: How much wider the right half is than the left one, relatively.
        scoliosis: How far the spine bends to the right.
        scoliosis_length: Length of a whole bend.
        kyphosis: How far the upper spine bends backwards.
        spine_depth: How far behind the middle the vertebral bodies begin.
        dome: Height of the right dome of the diaphragm.
        dome_left: How much lower the left one is.
        dome_cap: Height of the caps.
        dome_tilt: How much higher the diaphragm is in front, per mm.
        elevation: Of one dome in part, as after a paresis.
        elevated_side: Below 0: the left one.
        heart: Size relative to an average one.
        heart_right: Where the heart is.
        heart_up: Likewise.
        heart_tilt_deg: How steep its axis is.
        mediastinum: Width relative to an average one.
        hilum_up: Height of the hila.
        fissure_slope_right: Of the right oblique fissure.
        fissure_slope_left: Of the left one.
        fissure_up_right: Height of the right oblique fissure.
        fissure_up_left: Of the left one.
        fissure_up_minor: Of the horizontal one.
        fat: Thickness of the fat under the skin.
        muscle: Thickness of the chest wall's muscle.
        breast: Size of the breasts; none below 0.
        stomach_gas: How much of the stomach is gas.
    """

    half_width: float
    half_depth_front: float
    half_depth_back: float
    apex: float
    shoulder: float
    round_front: float
    round_back: float
    flare: float
    asymmetry: float
    scoliosis: float
    scoliosis_length: float
    kyphosis: float
    spine_depth: float
    dome: float
    dome_left: float
    dome_cap: float
    dome_tilt: float
    elevation: float
    elevated_side: float
    heart: float
    heart_right: float
    heart_up: float
    heart_tilt_deg: float
    mediastinum: float
    hilum_up: float
    fissure_slope_right: float
    fissure_slope_left: float
    fissure_up_right: float
    fissure_up_left: float
    fissure_up_minor: float
    fat: float
    muscle: float
    breast: float
    stomach_gas: float

    def shrunk(self, extent: float) -> ChestShape:
        """The same chest with a share of the lungs in fibrosis: higher domes, a narrower cage, fissures drawn down."""
        return replace(
            self,
            dome=self.dome + 40 * extent,
            half_width=self.half_width * (1 - 0.08 * extent),
            half_depth_back=self.half_depth_back * (1 - 0.06 * extent),
            fissure_up_right=self.fissure_up_right - 16 * extent,
            fissure_up_left=self.fissure_up_left - 16 * extent,
        )
