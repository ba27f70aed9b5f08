"""What several processes share, in one process that plays them all."""

import pytest
import torch

from avblocks import distributed


@pytest.mark.parametrize(("rows", "world"), [(7, 1), (7, 2), (8, 3), (2, 3)])
def test_rows_come_in_the_order_of_the_samples(
    monkeypatch: pytest.MonkeyPatch, rows: int, world: int
) -> None:
    """Each process took every n-th sample."""
    samples = torch.arange(2.0 * rows).view(rows, 2)
    parts = [samples[rank::world] for rank in range(world)]
    monkeypatch.setattr(distributed, "gather", lambda own: parts)
    assert torch.equal(distributed.gather_rows(parts[0]), samples)


def test_alone_all_of_it_is_the_plain_thing() -> None:
    value = torch.tensor([1.0, 2.0])
    assert distributed.rank_and_world() == (0, 1)
    assert torch.equal(distributed.reduced(value, mean=True), value)
    assert distributed.gather_lists([1, 2]) == [1, 2]
    assert torch.equal(distributed.gather_rows(value), value)
