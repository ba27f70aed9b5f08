"""Masks: the tokens that an encoder keeps, and the inverse permutation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor

from avblocks.shapes import expect, require
from avblocks.tokens import exportable


def gather_tokens(
    tokens: Float[Tensor, "b n d"], ids: Int64[Tensor, "b k"]
) -> Float[Tensor, "b k d"]:
    """The tokens at ``ids``, sample by sample.

    Raises:
        ValueError: if the batch sizes differ.
    """
    expect(ids=(ids, "b k"), b=tokens.shape[0])
    return tokens.gather(1, ids.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def valid_until(lengths: Integer[Tensor, " b"], *, grid: tuple[int, ...]) -> Bool[Tensor, "b n"]:
    """Mark the tokens before the length of each sample along the last axis of a grid, such as time.

    Args:
        lengths: tokens of each sample along that axis.
        grid: tokens along each axis, ``(n,)`` for a sequence.

    Example:
        >>> valid_until(torch.tensor([1, 3]), grid=(2, 3)).int()
        tensor([[1, 0, 0, 1, 0, 0],
                [1, 1, 1, 1, 1, 1]], dtype=torch.int32)
    """
    *others, last = grid
    valid = torch.arange(last, device=lengths.device) < lengths[:, None]
    return valid[:, None].expand(-1, math.prod(others), -1).flatten(1)


@dataclass(frozen=True)
class Mask:
    """Indices of kept and masked tokens, one row per sample.

    Attributes:
        ids_keep: indices of the kept tokens.
        ids_masked: indices of the masked tokens; with ``ids_keep`` a permutation of all of them.
        ids_predicted: indices of the masked tokens to predict; ``None`` means all.
    """

    ids_keep: Int64[Tensor, "b k"]
    ids_masked: Int64[Tensor, "b u"]
    ids_predicted: Int64[Tensor, "b u_p"] | None = None

    @classmethod
    def from_order(cls, order: Int64[Tensor, "b n"], *, num_kept: int) -> "Mask":
        """Keep the first ``num_kept`` tokens of an order (a permutation in each row)."""
        require(0 < num_kept < order.shape[1], "num_kept", num_kept, "in [1, {})", order.shape[1])
        return cls(order[:, :num_kept], order[:, num_kept:])

    @property
    def num_tokens(self) -> int:
        """Number of tokens, kept and masked."""
        return self.ids_keep.shape[1] + self.ids_masked.shape[1]

    @property
    def ids_restore(self) -> Int64[Tensor, "b n"]:
        """Position of each token in ``[kept; masked]``."""
        return torch.cat((self.ids_keep, self.ids_masked), dim=1).argsort(dim=1)

    @property
    def is_masked(self) -> Bool[Tensor, "b n"]:
        """True at the masked tokens, in the original order."""
        return self.ids_restore >= self.ids_keep.shape[1]

    @property
    def to_predict(self) -> Int64[Tensor, "b u_p"]:
        """Indices of the tokens to predict."""
        return self.ids_masked if self.ids_predicted is None else self.ids_predicted

    def predicting(
        self, share: float, *, generator: torch.Generator | Sequence[torch.Generator] | None = None
    ) -> "Mask":
        """Return the mask with a random fraction of the masked tokens to predict, at least one.

        Args:
            share: fraction of the masked tokens, in (0, 1].
            generator: one generator for the batch, or one per sample, as for a masker.

        Raises:
            ValueError: if the share is not in (0, 1].
        """
        require(0 < share <= 1, "share", share, "in (0, 1]")
        if share == 1:
            return replace(self, ids_predicted=None)
        b, u = self.ids_masked.shape
        count = max(round(share * u), 1)
        if isinstance(generator, Sequence):
            noise = torch.stack([torch.rand(u, generator=g, device=g.device) for g in generator])
        else:
            device = self.ids_masked.device if generator is None else generator.device
            noise = torch.rand(b, u, generator=generator, device=device)
        chosen = noise.to(self.ids_masked.device).argsort(dim=1)[:, :count]
        return replace(self, ids_predicted=self.ids_masked.gather(1, chosen))

    def kept(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b k d"]:
        """The kept tokens."""
        return gather_tokens(tokens, self.ids_keep)

    def masked(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b u d"]:
        """The masked tokens."""
        return gather_tokens(tokens, self.ids_masked)

    def predicted(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b u_p d"]:
        """The tokens to predict."""
        return gather_tokens(tokens, self.to_predict)

    def restore(
        self, *, kept: Float[Tensor, "b k d"], masked: Float[Tensor, "b u d"]
    ) -> Float[Tensor, "b n d"]:
        """Kept and masked tokens in the original order, the inverse of `kept` and `masked`.

        Raises:
            ValueError: if the numbers of tokens differ from the mask's.
        """
        k, u = self.ids_keep.shape[1], self.ids_masked.shape[1]
        expect(kept=(kept, "b k d"), masked=(masked, "b u d"), k=k, u=u)
        return gather_tokens(torch.cat((kept, masked), dim=1), self.ids_restore)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Mask":
        """The same mask on another device."""
        return self._map(lambda ids: ids.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Mask":
        """The same mask in pinned memory, for asynchronous copies to a GPU."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Mask":
        predicted = None if self.ids_predicted is None else function(self.ids_predicted)
        return Mask(function(self.ids_keep), function(self.ids_masked), predicted)


exportable(Mask)
