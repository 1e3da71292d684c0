"""The network: what it is made of, what a fresh one gives, and that it can learn."""

import dataclasses

import pytest
import torch
from LungDeepRegLib.deformation import ANCHORS, compose_with_affine, displacement_grid, integrate
from LungDeepRegLib.matching import matching
from LungDeepRegLib.network import Encoder, NetworkConfig, NetworkError, RegistrationNetwork, seen
from LungDeepRegLib.warp import identity_grid, warp

SHAPE = (8, 10, 12)
SMALL = NetworkConfig((4, 6), (1, 2), (5, 4), squeeze_reduction=2, lattice_shape=SHAPE)


def images(batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 1, *SHAPE, generator=generator).unbind()


def trained(config=SMALL):
    """A network whose last layers are not zero any more."""
    network = RegistrationNetwork(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        network.deformable_branch.gradients.weight.normal_(0, 0.3, generator=generator)
        if network.linear_branch is not None:
            network.linear_branch.matrix.weight.normal_(0, 0.1, generator=generator)
    return network


def test_the_default_is_that_of_the_paper():
    network = RegistrationNetwork()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert round(parameters / 1e6, 2) == 1.77
    assert network.config.feature_channels == 290
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv3d)]
    assert [(c.in_channels, c.out_channels, c.dilation[0]) for c in convolutions] == [
        (2, 32, 1),
        (32, 64, 1),
        (64, 128, 2),
        (128, 32, 3),
        (32, 32, 5),
        (290, 128, 1),
        (128, 64, 1),
        (64, 32, 1),
        (32, 32, 1),
        (32, 32, 1),
        (32, 3, 1),
    ]


def test_encoder_hands_on_the_images_and_the_output_of_every_block():
    fixed, moving = images()
    encoder = Encoder(SMALL)
    features = encoder(seen(fixed, moving, SMALL))
    assert features.shape == (1, 12, *SHAPE)
    assert torch.equal(features[:, :2], torch.cat([moving, fixed], 1))
    first = encoder.blocks[0](features[:, :2])
    torch.testing.assert_close(features[:, 2:6], first)
    torch.testing.assert_close(features[:, 6:], encoder.blocks[1](first))


def test_reach_of_the_encoder_is_the_sum_of_its_dilations():
    # Instance normalisation reaches everywhere, so it is left out here.
    encoder = Encoder(NetworkConfig(encoder_channels=(2, 2, 2, 2, 2), squeeze_reduction=4))
    for module in encoder.modules():
        if isinstance(module, torch.nn.InstanceNorm3d):
            module.forward = lambda x: x
    line = torch.zeros(1, 1, 3, 3, 41, requires_grad=True)
    encoder(torch.cat([line, torch.zeros_like(line)], 1))[..., 1, 1, 20].sum().backward()
    reached = line.grad.abs().amax((0, 1, 2, 3)).nonzero().flatten()
    assert (reached.min(), reached.max()) == (20 - 12, 20 + 12)


@pytest.mark.parametrize("anchor", ANCHORS)
def test_a_fresh_network_is_the_identity(anchor):
    fixed, moving = images(batch=2)
    output = RegistrationNetwork(dataclasses.replace(SMALL, anchor=anchor))(fixed, moving)
    assert torch.equal(output.spatial_gradients, torch.ones(2, 3, *SHAPE))
    assert torch.equal(output.affine, torch.eye(3, 4).expand(2, -1, -1))
    identity = identity_grid(SHAPE).expand(2, -1, -1, -1, -1)
    torch.testing.assert_close(output.grid, identity, rtol=0, atol=torch.finfo(torch.float32).eps)
    torch.testing.assert_close(warp(moving, output.grid), moving, rtol=0, atol=1e-5)
    without = RegistrationNetwork(SMALL)(fixed, moving, use_linear=False)
    assert not without.displacement().any()


@pytest.mark.parametrize("anchor", ANCHORS)
def test_the_grid_is_that_of_both_branches(anchor):
    output = trained(dataclasses.replace(SMALL, anchor=anchor))(*images(batch=2))
    assert (output.affine - torch.eye(3, 4)).abs().max() > 0.01
    assert (output.spatial_gradients - 1).abs().max() > 0.1
    u = integrate(output.spatial_gradients, anchor)
    torch.testing.assert_close(output.grid, compose_with_affine(u, output.affine))


@pytest.mark.parametrize("how", ["config", "argument"])
def test_without_the_linear_branch(how):
    fixed, moving = images()
    if how == "config":
        network = trained(dataclasses.replace(SMALL, linear_branch=False))
        assert network.linear_branch is None
        output = network(fixed, moving)
    else:
        output = trained()(fixed, moving, use_linear=False)
    u = integrate(output.spatial_gradients, "first")
    assert output.affine is None
    torch.testing.assert_close(output.grid, displacement_grid(u))
    torch.testing.assert_close(output.displacement(), u, rtol=1e-4, atol=1e-5)


def test_linear_part_is_applied_to_the_result_of_the_deformable_one():
    # On a ramp nothing is blurred; compared where neither warp leaves the lattice.
    output = trained()(*images())
    u = integrate(output.spatial_gradients, "first")
    matrix = 0.4 * output.affine
    ramp = identity_grid(SHAPE)[None] @ torch.tensor([0.5, 0.3, 0.2])
    deformed = warp(ramp[:, None], displacement_grid(0.05 * u))
    linear = compose_with_affine(torch.zeros_like(u), matrix)
    composed = compose_with_affine(0.05 * u, matrix)
    inside = (composed.abs() <= 1).all(-1) & (linear.abs() <= 0.6).all(-1)
    assert inside.float().mean() > 0.5
    difference = warp(deformed, linear) - warp(ramp[:, None], composed)
    assert difference[:, 0][inside].abs().max() < 1e-5


def test_one_step_reaches_every_weight():
    fixed, moving = images()
    network = RegistrationNetwork(SMALL)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)

    def gradients():
        optimiser.zero_grad()
        ((warp(moving, network(fixed, moving).grid) - fixed) ** 2).mean().backward()
        return {name: parameter.grad.abs().max() > 0 for name, parameter in network.named_parameters()}

    first = gradients()
    assert first["deformable_branch.gradients.weight"]
    assert first["linear_branch.matrix.weight"]
    optimiser.step()
    assert all(gradients().values())


def test_seed_decides_the_weights_and_torch_is_left_alone():
    before = torch.random.get_rng_state()
    first, same, other = (RegistrationNetwork(SMALL, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["encoder.blocks.0.0.weight"], other["encoder.blocks.0.0.weight"])


def test_the_same_pair_gives_the_same_map():
    outputs = [trained()(*images()) for _ in range(2)]
    assert torch.equal(outputs[0].grid, outputs[1].grid)


def test_pairs_of_a_batch_do_not_see_each_other():
    network, (fixed, moving) = trained(), images(batch=2)
    both, alone = network(fixed, moving), network(fixed[1:], moving[1:])
    torch.testing.assert_close(both.grid[1:], alone.grid)


def test_positions_stay_in_float32_under_autocast():
    network, (fixed, moving) = trained(), images()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(fixed, moving)
    assert {t.dtype for t in output} == {torch.float32}
    u = integrate(output.spatial_gradients, "first")
    torch.testing.assert_close(output.grid, compose_with_affine(u, output.affine), rtol=0, atol=0)
    torch.testing.assert_close(output.grid, network(fixed, moving).grid, rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [((1, 1, 4, 4, 4), (1, 1, 4, 4, 5)), ((1, 2, 4, 4, 4),) * 2, ((4, 4, 4),) * 2, ((1, 1, 4, 4, 1),) * 2],
)
def test_other_shapes_are_refused(fixed, moving):
    with pytest.raises(NetworkError, match="found fixed"):
        RegistrationNetwork(SMALL)(torch.zeros(fixed), torch.zeros(moving))


def test_with_matches_it_sees_them_beside_the_averaged_images():
    fixed, moving = images()
    config = dataclasses.replace(SMALL, stride=2, matches=1)
    inputs = seen(fixed, moving, config)
    assert inputs.shape == (1, config.input_channels, *(n // 2 for n in SHAPE))
    assert config.input_channels == 2 + 27
    block = fixed[0, 0, 2:4, 4:6, 6:8]
    torch.testing.assert_close(inputs[0, 1, 1, 2, 3], block.mean())
    assert torch.equal(inputs[:, 2:], matching(fixed, moving, 1, 2))


def test_with_a_stride_phi_is_of_blocks_and_the_map_of_voxels():
    config = dataclasses.replace(SMALL, stride=2, matches=1)
    assert torch.equal(RegistrationNetwork(config)(*images()).displacement(), torch.zeros(1, 3, *SHAPE))
    output = trained(config)(*images(), use_linear=False)
    assert output.spatial_gradients.shape == (1, 3, *(n // 2 for n in SHAPE))
    blocks = integrate(output.spatial_gradients, config.anchor)
    # a block's middle lies between its eight voxels
    inner = torch.nn.functional.avg_pool3d(output.displacement(), 2)[:, :, 1:-1, 1:-1, 1:-1]
    expected = torch.nn.functional.interpolate(
        torch.nn.functional.interpolate(2 * blocks, scale_factor=2, mode="trilinear"), scale_factor=0.5, mode="area"
    )[:, :, 1:-1, 1:-1, 1:-1]
    torch.testing.assert_close(inner, expected, rtol=0, atol=1e-4)


def test_shapes_that_are_no_whole_blocks_are_refused():
    with pytest.raises(NetworkError, match="multiples of 3"):
        RegistrationNetwork(dataclasses.replace(SMALL, stride=3))(*images())


def test_config_round_trip():
    assert NetworkConfig.from_dict(SMALL.to_dict()) == SMALL
    assert isinstance(SMALL.to_dict()["dilations"], list)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_channels": (4, 0)},
        {"encoder_channels": ()},
        {"dilations": (1,)},
        {"dilations": (1, 1.5)},
        {"decoder_channels": "many"},
        {"squeeze_reduction": 13},
        {"squeeze_reduction": 0},
        {"linear_branch": 1},
        {"anchor": "last"},
        {"lattice_shape": (8, 10)},
        {"lattice_shape": (8, 10, 1)},
        {"lattice_spacing_mm": (4.0, 0.0, 4.0)},
        {"lattice_spacing_mm": 4.0},
        {"stride": 0},
        {"stride": 2.0},
        {"matches": -1},
        {"matches": 4},
        {"matches": True},
        {"both_ways": 1},
        {"passes": ()},
        {"passes": (1.0, 0.0)},
        {"passes": [1.0]},
        {"lattice_spacing_mm": (4.0, float("nan"), 4.0)},
        {"lattice_spacing_mm": ("4", 4.0, 4.0)},
    ],
)
def test_impossible_configurations_are_refused(change):
    with pytest.raises(NetworkError, match=f"found {next(iter(change))}"):
        dataclasses.replace(SMALL, **change)


def test_unknown_and_missing_names_are_refused():
    values = SMALL.to_dict()
    values["depth"] = values.pop("anchor")
    with pytest.raises(NetworkError, match=r"unknown names \['depth'\] and without \['anchor'\]"):
        NetworkConfig.from_dict(values)
