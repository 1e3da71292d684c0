"""The fast forward pass: what the network itself gives."""

import dataclasses

import pytest
import torch
from LungDeepRegLib import network_inference
from LungDeepRegLib.deformation import ANCHORS
from LungDeepRegLib.network import NetworkConfig, NetworkError, RegistrationNetwork
from LungDeepRegLib.network_inference import Moments, fastest_dtype, infer

SMALL = NetworkConfig((4, 6), (1, 2), (5, 4), squeeze_reduction=2)
CONFIGS = {
    "small": SMALL,
    "dilated": NetworkConfig((8, 12, 8), (2, 3, 5), (10, 8), squeeze_reduction=4),
    "growing": NetworkConfig((4, 5), (1, 1), (20, 3, 12), squeeze_reduction=3),
    "with matches": dataclasses.replace(SMALL, matches=1),
    "without linear branch": dataclasses.replace(SMALL, linear_branch=False),
    **{anchor: dataclasses.replace(SMALL, anchor=anchor) for anchor in ANCHORS[1:]},
}
SHAPES = [(8, 12, 16), (9, 13, 7), (3, 2, 5)]
CPU = torch.device("cpu")


def images(shape, batch=2, seed=0):
    return torch.rand(2, batch, 1, *shape, generator=torch.Generator().manual_seed(seed)).unbind()


def trained(config):
    """A network whose last layers are not zero any more."""
    network = RegistrationNetwork(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    network.deformable_branch.gradients.weight.normal_(0, 0.3, generator=generator)
    network.deformable_branch.gradients.bias.normal_(0, 0.1, generator=generator)
    if network.linear_branch is not None:
        network.linear_branch.matrix.weight.normal_(0, 0.1, generator=generator)
    return network


@pytest.fixture(params=[True, False], ids=["tiles", "direct"])
def _by(request, monkeypatch):
    """Every convolution by tiles, or none."""
    monkeypatch.setattr(network_inference, "pays", lambda *_: request.param)


@pytest.mark.usefixtures("_by")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CONFIGS)
def test_in_float32_it_is_what_the_network_gives(name, shape):
    network, (fixed, moving) = trained(CONFIGS[name]), images(shape)
    found, expected = infer(network, fixed, moving, dtype=torch.float32), network(fixed, moving)
    assert expected.displacement().abs().mean() > 0.2
    torch.testing.assert_close(found.spatial_gradients, expected.spatial_gradients, rtol=0, atol=2e-4)
    torch.testing.assert_close(found.displacement(), expected.displacement(), rtol=0, atol=5e-4)
    if expected.affine is None:
        assert found.affine is None
    else:
        torch.testing.assert_close(found.affine, expected.affine, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("_by")
def test_in_bfloat16_it_is_near_to_that():
    network, (fixed, moving) = trained(CONFIGS["dilated"]), images((16, 20, 18))
    found, expected = infer(network, fixed, moving, dtype=torch.bfloat16), network(fixed, moving)
    assert {t.dtype for t in found} == {torch.float32}
    error = (found.displacement() - expected.displacement()).norm(dim=1)
    moved = expected.displacement().norm(dim=1).mean()
    assert 0 < error.mean() < 0.04 * moved


def test_without_the_linear_branch():
    network, (fixed, moving) = trained(SMALL), images(SHAPES[0])
    found = infer(network, fixed, moving, use_linear=False, dtype=torch.float32)
    assert found.affine is None
    expected = network(fixed, moving, use_linear=False).displacement()
    torch.testing.assert_close(found.displacement(), expected, rtol=0, atol=5e-4)


def test_images_without_any_contrast():
    network = trained(SMALL)
    fixed, moving = (torch.full((1, 1, *SHAPES[0]), value) for value in (0.25, 0.75))
    found, expected = infer(network, fixed, moving, dtype=torch.float32), network(fixed, moving)
    torch.testing.assert_close(found.displacement(), expected.displacement(), rtol=0, atol=1e-3)


def test_network_and_images_are_left_as_they_were():
    network, pair = trained(SMALL), images(SHAPES[0])
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    copies = [image.clone() for image in pair]
    infer(network, *pair)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    assert all(map(torch.equal, pair, copies))


def test_other_shapes_are_refused():
    with pytest.raises(NetworkError, match="found fixed"):
        infer(trained(SMALL), torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 4, 4, 5))


def test_small_variances_beside_large_means():
    values = torch.randn(40, 30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    values = (values * torch.tensor([1.0, 0.05, 0.0]) + torch.tensor([0.0, 300.0, -70.0])).float()
    moments = Moments(3, CPU)
    for part in values.split([7, 1, 32]):
        moments.add(part)
    mean, variance = moments.mean_and_variance()
    expected = values.double().flatten(0, 1)
    torch.testing.assert_close(mean.double(), expected.mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance.double(), expected.var(0, correction=0), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("amx", "bf16", "limit", "expected"),
    [
        (True, True, None, torch.bfloat16),
        (False, True, None, torch.bfloat16),
        (False, False, None, torch.float32),
        (True, True, "AVX512_CORE", torch.float32),
        (True, True, "avx2", torch.float32),
        (True, True, "AVX512_CORE_BF16", torch.bfloat16),
        (True, False, "AVX512_CORE_BF16", torch.float32),
        (True, True, "ALL", torch.bfloat16),
    ],
)
def test_half_precision_only_where_the_processor_has_it(monkeypatch, amx, bf16, limit, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16, raising=False)
    for name in network_inference.ISA_LIMITS:
        monkeypatch.delenv(name, raising=False)
    if limit is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert fastest_dtype(CPU) == expected


def test_torch_that_can_not_tell_counts_as_without(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert fastest_dtype(CPU) == torch.float32
