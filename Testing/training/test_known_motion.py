"""The truth of a simulated breath is the truth: its own field makes the fixed image out of the moving one."""

import numpy as np
import pytest
from LungDeepRegLib import DisplacementField
from LungDeepRegLib.intensity import choose_intensity
from LungDeepRegLib.lung_mask import find_lungs
from LungDeepRegLib.phantom import PhantomConfig, chest_lattice, make_pair

from training.known_motion import Breath, error_mm, simulate


@pytest.fixture(scope="module")
def ct():
    lattice = chest_lattice(5.0)
    return make_pair(PhantomConfig(noise=0), fixed_lattice=lattice, moving_lattice=lattice).moving


@pytest.fixture(scope="module")
def known(ct):
    return simulate(ct, Breath(motion_mm=25, noise_hu=0))


class TestSimulatedBreath:
    def test_the_truth_has_no_error_and_the_identity_has_the_motion(self, known):
        assert error_mm(known.psi, known).max == 0
        still = DisplacementField.from_matrix(np.eye(4), known.psi.lattice)
        assert 5 < error_mm(still, known).mean < 25
        assert 15 < error_mm(still, known).max < 35

    def test_warping_by_the_truth_gives_the_fixed_image_but_for_density(self, known):
        warped, covered = known.psi.warp(known.moving, known.fixed.lattice, fill=-1024)
        outside = covered & ~known.fixed_lungs
        difference = np.abs(warped.array - known.fixed.array)
        assert difference[outside].max() <= 1
        assert difference[known.fixed_lungs].mean() > 5

    def test_lung_mass_is_kept(self, known, ct):
        lungs = find_lungs(ct, choose_intensity(ct))
        parenchyma = lungs & (ct.array < -700)
        mass_before = (ct.array[parenchyma] + 1000.0).sum()
        seen = known.fixed_lungs & (known.fixed.array < -650)
        mass_after = (known.fixed.array[seen] + 1000.0).sum()
        assert known.fixed_lungs.sum() < 0.95 * lungs.sum()
        assert mass_after == pytest.approx(mass_before, rel=0.1)

    def test_noise_is_independent(self, ct):
        noisy = simulate(ct, Breath(motion_mm=1, local_mm=0, noise_hu=30))
        quiet = simulate(ct, Breath(motion_mm=1, local_mm=0, noise_hu=0))
        tissue = quiet.fixed.array > -200
        a = (noisy.fixed.array - quiet.fixed.array)[tissue]
        b = (noisy.moving.array - quiet.moving.array)[tissue]
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.05
        assert 27 < a.std() < 33

    def test_what_is_refused(self, ct):
        with pytest.raises(ValueError, match="folds, expected a smaller"):
            simulate(ct, Breath(motion_mm=-400))
        with pytest.raises(ValueError, match="no lung, expected a chest CT"):
            simulate(ct.with_array(np.where(ct.array < -300, 40, ct.array)), Breath())
