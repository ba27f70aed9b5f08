"""Several starts of a head: the one with the least running loss answers."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from avblocks.heads import RunningWhitening, Starts, answering


def test_the_least_running_loss_answers() -> None:
    starts = Starts([nn.Linear(2, 1) for _ in range(3)], momentum=0.5)
    x = torch.ones(1, 2)
    assert starts.best is starts.heads[0], "before any batch"
    starts.track(torch.tensor([3.0, 1.0, 2.0]))
    assert torch.equal(starts(x), starts.heads[1](x))
    starts.track(torch.tensor([3.0, 4.0, 2.0]))  # means 3, 2.5, 2
    assert torch.equal(starts.losses, torch.tensor([3.0, 2.5, 2.0]))
    assert answering(starts) is starts.heads[2] and answering(starts.heads[0]) is starts.heads[0]


def test_the_running_losses_are_saved() -> None:
    starts, other = (Starts([nn.Linear(2, 1) for _ in range(2)]) for _ in range(2))
    starts.track(torch.tensor([1.0, 0.5]))
    other.load_state_dict(starts.state_dict())
    assert torch.equal(other(torch.ones(1, 2)), starts.heads[1](torch.ones(1, 2)))


def test_averages_start_anew_after_meta() -> None:
    """`to_empty` leaves in them whatever the memory held."""
    for build in (partial(Starts, [nn.Linear(2, 1)]), partial(RunningWhitening, 4, components=2)):
        with torch.device("meta"):
            emptied = build()
        emptied = emptied.to_empty(device="cpu")
        for buffer in emptied.buffers():
            buffer.fill_(7)
        emptied.reset_parameters()
        for buffer, fresh in zip(emptied.buffers(), build().buffers(), strict=True):
            assert_close(buffer, fresh, equal_nan=True)


def test_without_heads() -> None:
    with pytest.raises(ValueError, match="heads"):
        Starts([])
