"""Convolutions with standardized kernels, against loops and published properties."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from avblocks.nn import ResidualConv, StandardizedConv2d


def test_each_kernel_is_standardized_over_its_values() -> None:
    conv = StandardizedConv2d(4, 6, 3, stride=2, padding=1, groups=2)
    plain = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    with torch.no_grad():
        plain.bias.copy_(conv.bias)
        for out in range(6):
            kernel = conv.weight[out].double().numpy().ravel()
            unit = (kernel - kernel.mean()) / (kernel.std() * np.sqrt(len(kernel)))
            plain.weight[out] = torch.from_numpy(unit).view(2, 3, 3)
    x = torch.randn(2, 4, 8, 10)
    assert_close(conv(x), plain(x), atol=1e-3, rtol=1e-3)


def test_scale_and_offset_of_a_kernel_do_not_matter() -> None:
    conv, x = StandardizedConv2d(3, 8, 3, bias=False), torch.randn(1, 3, 9, 9)
    with torch.no_grad():
        conv.weight.mul_(100)
        before = conv(x)
        conv.weight.mul_(3).add_(2)
    assert_close(conv(x), before, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("numbers", [(2, 1, 1, 2), (1, (2, 0), (1, 2), 1), ((2, 1), 1, 1, 4)])
def test_the_numbers_are_those_of_a_plain_convolution(numbers: tuple[int, ...]) -> None:
    """Same arguments in the same order, same initial values of the same random numbers."""
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 8, (3, 2), *numbers)
    torch.manual_seed(0)
    conv = StandardizedConv2d(4, 8, (3, 2), *numbers)
    assert list(conv.state_dict()) == list(plain.state_dict())
    assert torch.equal(conv.weight, plain.weight) and torch.equal(conv.bias, plain.bias)
    x = torch.randn(2, 4, 9, 10)
    plain.load_state_dict(conv.state_dict() | {"weight": conv.standardized()})
    assert_close(conv(x), plain(x))
    assert f"groups={numbers[3]}, bias=True" in repr(conv)


def test_it_is_no_convolution_to_those_who_would_add_to_its_kernels() -> None:
    """An adapter beside it is not the same as one in its kernels: peft must refuse it."""
    conv, plain = StandardizedConv2d(4, 8, 3), nn.Conv2d(4, 8, 3)
    x, adapter = torch.randn(1, 4, 6, 6), torch.randn(8, 4, 3, 3)
    for layer in (conv, plain):
        beside = layer(x) + nn.functional.conv2d(x, adapter)
        with torch.no_grad():
            layer.weight += adapter
        same = torch.allclose(layer(x), beside, atol=1e-4)
        assert same == isinstance(layer, nn.Conv2d) == (layer is plain)


def test_the_shortcut_is_the_input_itself_where_shapes_are_equal() -> None:
    block, x = ResidualConv(8, 8), torch.rand(2, 8, 4, 4)
    nn.init.zeros_(block.second[1].weight)
    assert torch.equal(block(x), x)
    halved = ResidualConv(8, 16, stride=2)
    assert halved(x).shape == (2, 16, 2, 2)
    assert_close(halved(x)[1:], halved(x[1:]))


def test_a_width_that_groups_do_not_share() -> None:
    with pytest.raises(ValueError, match="width must be a multiple of 8, got 12"):
        ResidualConv(8, 12)


@pytest.mark.usefixtures("unchecked")
def test_kernels_that_standardization_would_turn_into_zero() -> None:
    for build in (
        lambda: StandardizedConv2d(1, 8, 1),
        lambda: StandardizedConv2d(8, 8, 1, groups=8),
    ):
        with pytest.raises(ValueError, match="kernel must be of more than one value, got 1"):
            build()
    with pytest.raises(ValueError, match="kernel must be of more than one value, got 1"):
        ResidualConv(1, 8)


@pytest.mark.usefixtures("unchecked")
def test_channels_that_groups_do_not_share() -> None:
    for channels in ((6, 8), (8, 6)):
        with pytest.raises(ValueError, match="channels must be a multiple of 4 groups, got 6"):
            StandardizedConv2d(*channels, 3, groups=4)
    with pytest.raises(ValueError, match="in_channels must be a positive integer, got 0"):
        StandardizedConv2d(0, 8, 3)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("numbers", [(0, 8, 1), (8, 0, 1), (8, 8, 0)])
def test_numbers_that_are_not_positive(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be a positive integer, got 0"):
        ResidualConv(numbers[0], numbers[1], stride=numbers[2])
