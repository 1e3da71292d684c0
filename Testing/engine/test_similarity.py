"""Similarity terms: closed form first, then MONAI, PyWavelets and a direct MIND-SSC by value, then the gradients."""

import math

import numpy as np
import pytest
import pywt
import torch
import torch.nn.functional as functional
from LungDeepRegLib.similarity import (
    TERMS,
    GlobalCorrelation,
    LocalCorrelation,
    MeanSquaredError,
    MindSsc,
    MutualInformation,
    Similarity,
    SimilarityError,
    WaveletMetric,
    parse_similarity,
)
from LungDeepRegLib.similarity.box import box_counts, box_sum

SHAPE = (13, 10, 11)


def noise(shape=SHAPE, *, batch=1, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, *shape, generator=generator, dtype=dtype)


def smooth(shape=SHAPE, **options):
    """Blobs with values in [0, 1]."""
    blurred = functional.avg_pool3d(noise(tuple(n + 4 for n in shape), **options), 5, stride=1)
    return (blurred - blurred.min()) / (blurred.max() - blurred.min())


def shifted(image, voxels):
    return image.roll(voxels, dims=3)


# --- all terms


@pytest.mark.parametrize("name", TERMS)
def test_a_perfect_match_is_best_and_a_shift_is_seen(name):
    image = smooth((16, 16, 16))
    similarity = parse_similarity(name)
    losses = [similarity(image, shifted(image, n)).item() for n in (0, 1, 2)]
    assert losses == sorted(losses)
    assert losses[1] - losses[0] > 0.001
    if name != "mi":
        assert abs(losses[0]) < (0.02 if name == "lncc" else 1e-9)


@pytest.mark.parametrize("name", TERMS)
def test_a_mask_excludes_what_it_does_not_cover(name):
    # lncc's cubes reach 3 voxels into what the mask leaves out, so the corruption stays that far off.
    fixed, warped = smooth((16, 16, 16)), smooth((16, 16, 16), seed=1)
    mask = torch.zeros_like(fixed)
    mask[:, :, :8] = torch.rand(8, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    term = TERMS[name]()
    features = term.features(fixed), term.features(warped)
    corrupted = features[1].clone()
    corrupted[:, :, 11:] = 1 - corrupted[:, :, 11:]
    assert not torch.isclose(term.loss(*features), term.loss(features[0], corrupted), rtol=1e-3)
    torch.testing.assert_close(term.loss(*features, mask), term.loss(features[0], corrupted, mask), rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", TERMS)
def test_an_even_mask_changes_nothing_and_its_scale_does_not_matter(name):
    fixed, warped = smooth(batch=2), smooth(batch=2, seed=1)
    similarity = parse_similarity(name)
    masked = similarity(fixed, warped, torch.full_like(fixed, 3.0))
    torch.testing.assert_close(masked, similarity(fixed, warped), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", TERMS)
def test_a_batch_gives_the_mean_of_its_pairs(name):
    fixed, warped, mask = smooth(batch=2), smooth(batch=2, seed=1), noise(batch=2, seed=2)
    mask[1] *= 7
    term = TERMS[name]()
    alone = [
        term.loss(term.features(fixed[b : b + 1]), term.features(warped[b : b + 1]), mask[b : b + 1]) for b in (0, 1)
    ]
    both = term.loss(term.features(fixed), term.features(warped), mask)
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("masked", [False, True])
def test_gradient_in_float64(name, masked):
    fixed, warped = noise((4, 3, 5), batch=2), noise((4, 3, 5), batch=2, seed=1)
    mask = noise((4, 3, 5), batch=2, seed=2) if masked else None
    term = TERMS[name]()
    warped.requires_grad_()
    assert torch.autograd.gradcheck(lambda w: term.loss(term.features(fixed), term.features(w), mask), warped)
    if name != "mi":  # whose window for the fixed image is a step
        fixed.requires_grad_()
        assert torch.autograd.gradcheck(lambda f: term.loss(term.features(f), term.features(warped), mask), fixed)


@pytest.mark.parametrize("name", TERMS)
def test_float32_is_close_to_float64(name):
    fixed, warped = smooth((20, 20, 20)), smooth((20, 20, 20), seed=1)
    term = parse_similarity(name)
    torch.testing.assert_close(term(fixed.float(), warped.float()).double(), term(fixed, warped), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize(
    "mask",
    [
        torch.zeros(1, 1, *SHAPE),
        -torch.ones(1, 1, *SHAPE),
        torch.ones(1, 1, 4, 4, 4),
        torch.full((1, 1, *SHAPE), torch.nan),
    ],
)
def test_bad_masks_are_refused(name, mask):
    with pytest.raises(SimilarityError, match="found"):
        parse_similarity(name)(noise(), noise(), mask)


@pytest.mark.parametrize("name", TERMS)
def test_images_of_different_lattices_are_refused(name):
    with pytest.raises(SimilarityError, match="found fixed"):
        parse_similarity(name)(noise(), noise((13, 10, 12)))


# --- each term


def test_mean_squared_error_of_an_offset():
    assert MeanSquaredError().loss(noise(), noise() + 0.25).item() == pytest.approx(0.0625)


def test_global_correlation_ignores_gain_and_offset():
    image = noise()
    assert GlobalCorrelation().loss(image, 0.3 * image + 0.1).item() == pytest.approx(0, abs=1e-12)
    assert GlobalCorrelation().loss(image, 1 - image).item() == pytest.approx(2)
    assert GlobalCorrelation().loss(image, torch.full_like(image, 0.5)).item() == pytest.approx(1)


def test_global_correlation_equals_numpy():
    fixed, warped = noise(), noise(seed=1) + noise()
    expected = 1 - np.corrcoef(fixed.flatten(), warped.flatten())[0, 1]
    assert GlobalCorrelation().loss(fixed, warped).item() == pytest.approx(expected)


def test_local_correlation_ignores_a_gain_that_changes_slowly_and_inversion():
    image = noise((20, 20, 20))
    gain = torch.linspace(0.5, 1.0, 20, dtype=torch.float64).reshape(1, 1, 1, 1, 20)
    assert LocalCorrelation().loss(image, 1 - image).item() < 1e-3
    assert LocalCorrelation().loss(image, gain * image).item() < 0.02
    assert GlobalCorrelation().loss(image, gain * image).item() > 0.02


def test_local_correlation_without_structure_is_one():
    image = noise()
    assert LocalCorrelation().loss(image, torch.full_like(image, 0.5)).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kernel", [3, 5])
def test_local_correlation_equals_monai_inside(kernel):
    # MONAI counts the zeros it pads with as voxels, so the voxels compared are those whose cube is on the lattice. The
    # constants differ too: we add 1e-5 to a variance, MONAI keeps count times variance from falling below 1e-5.
    monai = pytest.importorskip("monai.losses")
    fixed, warped = noise(), noise(seed=1) + noise()
    inside = torch.zeros_like(fixed)
    r = kernel // 2
    inside[:, :, r:-r, r:-r, r:-r] = 1
    maps = monai.LocalNormalizedCrossCorrelationLoss(3, kernel, reduction="none")(warped, fixed)
    expected = 1 + (maps * inside).sum() / inside.sum()
    assert LocalCorrelation(kernel).loss(fixed, warped, inside).item() == pytest.approx(expected.item(), rel=1e-3)


def test_local_statistics_at_a_corner_are_of_the_voxels_that_exist():
    fixed, warped = noise(), noise(seed=1)
    corner = torch.zeros_like(fixed)
    corner[..., 0, 0, 0] = 1
    cubes = [image[0, 0, :3, :3, :3].flatten() for image in (fixed, warped)]
    covariance, variances = np.cov(cubes, bias=True)[0, 1], np.var(np.array(cubes), axis=1) + 1e-5
    expected = 1 - covariance**2 / variances.prod()
    assert LocalCorrelation(5).loss(fixed, warped, corner).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("radius", [0, 1, 4, 20])
def test_box_sum_equals_a_convolution(radius):
    values, width = noise((7, 9, 5), batch=2), 2 * radius + 1
    ones = torch.ones(1, 1, width, width, width, dtype=torch.float64)
    torch.testing.assert_close(box_sum(values, radius), functional.conv3d(values, ones, padding=radius))
    assert box_counts(values, radius)[0, 0, 0, 0, 0] == min(radius + 1, 7) * min(radius + 1, 9) * min(radius + 1, 5)


def test_mutual_information_of_two_values():
    # Half the voxels 0, half 1: one bit between them. The spline's windows of the two are 27 bins apart.
    image = torch.zeros(1, 1, 4, 4, 4, dtype=torch.float64)
    image[..., 2:] = 1
    term = MutualInformation()
    assert term.loss(image, image).item() == pytest.approx(-math.log(2))
    assert term.loss(image, 1 - image).item() == pytest.approx(-math.log(2))
    assert term.loss(image, image.transpose(2, 4)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("bins", [16, 32])
def test_mutual_information_equals_monai(bins):
    # MONAI stretches each image's range over bins - 4 and clamps to bins - 3, so its last bin's intensities are equal;
    # ours are scaled to end there. What is left is 1e-7 in its logarithm.
    monai = pytest.importorskip("monai.losses")
    fixed, warped = noise((14, 14, 14)), (noise((14, 14, 14), seed=1) + noise((14, 14, 14))) / 2
    for image in (fixed, warped):
        image[0, 0, 0, 0, 0], image[0, 0, 0, 0, 1] = 0, 1
    expected = monai.GlobalMutualInformationLoss("b-spline", num_bins=bins)(warped, fixed)
    scale = (bins - 4) / (bins - 5)
    ours = MutualInformation(bins).loss(fixed * scale, warped * scale)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-4)


def test_mutual_information_clamps_intensities_and_their_gradient():
    fixed, warped = noise(), noise(seed=1) * 1.4 - 0.2
    warped.requires_grad_()
    loss = MutualInformation().loss(fixed, warped)
    assert loss.item() == pytest.approx(MutualInformation().loss(fixed, warped.clamp(0, 1)).item())
    (gradient,) = torch.autograd.grad(loss, warped)
    outside = (warped < 0) | (warped > 1)
    assert outside.any()
    assert not gradient[outside].any()
    assert gradient[~outside].all()


def test_mutual_information_counts_millions_of_equal_voxels():
    image = torch.zeros(1, 1, 128, 128, 128)
    image[..., 64:] = 1
    assert MutualInformation().loss(image, image).item() == pytest.approx(-math.log(2), rel=1e-6)


@pytest.mark.parametrize("shape", [(16, 16, 16), (13, 10, 11)])
@pytest.mark.parametrize("levels", [1, 3])
def test_wavelet_metric_equals_pywavelets(shape, levels):
    fixed, warped = noise(shape), noise(shape, seed=1)
    approximation, *details = pywt.wavedecn((warped - fixed)[0, 0].numpy(), "haar", mode="symmetric", level=levels)
    bands = [approximation, *(band for level in details for band in level.values())]
    expected = sum(np.abs(band).sum() for band in bands) / fixed.numel()
    assert WaveletMetric(levels).loss(fixed, warped).item() == pytest.approx(expected)


def test_wavelet_metric_of_an_offset_is_in_the_approximation():
    image = noise((16, 16, 16))
    assert WaveletMetric(3).loss(image, image + 0.25).item() == pytest.approx(0.25 * 8**-1.5)


def mind_by_definition(image, radius=1, dilation=2):
    """MIND-SSC features (12, K, J, I) of an array, straight from the definition, channels in the term's order."""
    margin = radius + dilation
    padded = np.pad(image, margin, mode="edge")
    faces = [np.array(f) * dilation for f in [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]]
    patch = np.arange(-radius, radius + 1)
    cube = [np.array((z, y, x)) for z in patch for y in patch for x in patch]

    def moved(offset):
        start = margin + offset
        return padded[tuple(slice(s, s + n) for s, n in zip(start, image.shape, strict=True))]

    pairs = [(a, b) for n, a in enumerate(faces) for b in faces[n + 1 :] if a @ b == 0]
    distances = np.array([np.mean([(moved(a + c) - moved(b + c)) ** 2 for c in cube], axis=0) for a, b in pairs])
    distances -= distances.min(axis=0)
    variance = distances.mean(axis=0)
    return np.exp(-distances / np.clip(variance, 1e-3 * variance.mean(), 1e3 * variance.mean()))


@pytest.mark.parametrize(("radius", "dilation"), [(1, 2), (2, 1), (0, 3)])
def test_mind_equals_its_definition(radius, dilation):
    image = smooth()
    features = MindSsc(radius, dilation).features(image)
    np.testing.assert_allclose(features[0], mind_by_definition(image[0, 0].numpy(), radius, dilation), rtol=1e-9)


def test_mind_ignores_gain_offset_and_inversion():
    image = smooth()
    features = MindSsc().features(image)
    torch.testing.assert_close(MindSsc().features(0.3 * image + 0.2), features)
    torch.testing.assert_close(MindSsc().features(1 - image), features)


def test_mind_of_a_constant_image_is_finite():
    assert torch.equal(MindSsc().features(torch.full((1, 1, 5, 5, 5), 0.5)), torch.ones(1, 12, 5, 5, 5))


# --- weighted sums


def test_a_sum_of_terms_is_the_sum_of_their_losses():
    fixed, warped, mask = smooth(), smooth(seed=1), noise(seed=2)
    similarity = parse_similarity("lncc=1, mind=2,mi=0.5")
    expected = parse_similarity("lncc")(fixed, warped, mask)
    expected += 2 * parse_similarity("mind")(fixed, warped, mask) + 0.5 * parse_similarity("mi")(fixed, warped, mask)
    torch.testing.assert_close(similarity(fixed, warped, mask), expected)
    assert similarity.features(fixed).shape == (1, 13, *SHAPE)
    assert parse_similarity("mind").features(fixed).shape == (1, 12, *SHAPE)
    assert parse_similarity("mse,lncc,dwm").features(fixed) is fixed


def test_the_objective_can_be_used_again_and_again():
    similarity = parse_similarity("mind=1,lncc=0.5,mi=0.1,dwm=1")
    features = [similarity.features(smooth(seed=n)) for n in range(3)]
    objective = similarity.against(features[0])
    objective(features[2])
    assert objective(features[1]) == similarity.loss(features[0], features[1])


def test_how_a_similarity_is_written():
    assert str(parse_similarity("lncc=1,mi=0.5")) == "lncc=1.0,mi=0.5"
    assert parse_similarity(str(parse_similarity("mind=0.3,ncc"))) == parse_similarity("mind=0.3,ncc=1")


@pytest.mark.parametrize(
    "text", ["", "lncc,", "ssd", "lncc=-1", "lncc=0", "lncc=", "lncc=nan", "mi=inf", "mi=x", "mi,mi=2"]
)
def test_unreadable_similarities_are_refused(text):
    with pytest.raises(SimilarityError, match="found"):
        parse_similarity(text)


def test_an_unknown_name_is_answered_with_those_that_exist():
    with pytest.raises(SimilarityError, match=r"'ssd'.*mse, ncc, lncc, mi, dwm, mind"):
        parse_similarity("lncc=1,ssd=2")


@pytest.mark.parametrize(
    "make",
    [
        lambda: LocalCorrelation(4),
        lambda: LocalCorrelation(1),
        lambda: MutualInformation(5),
        lambda: WaveletMetric(0),
        lambda: MindSsc(-1),
        lambda: MindSsc(1, 0),
        lambda: Similarity(()),
        lambda: Similarity(((MeanSquaredError(), -1.0),)),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(SimilarityError, match="found"):
        make()


def test_features_of_another_similarity_are_refused():
    with pytest.raises(SimilarityError, match="expected"):
        parse_similarity("mind").loss(noise(), noise())
