"""Several starts of one head: copies with different initial weights that are trained together."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.distributed import reduced
from avblocks.shapes import require


class Starts(nn.Module):
    """Copies of a head, trained on the same batches; the one with the lowest loss predicts.

    A contrastive loss without labels has poor local minima. Whether a small head ends in one
    depends on its initial weights. On frozen tokens another copy costs little, and the training
    loss of each copy shows whether it is in a poor minimum.

    Args:
        heads: The copies, of one architecture, with different initial weights.
        momentum: Weight of a batch in the running mean of the losses.

    Raises:
        ValueError: If there are no heads.

    Example:
        >>> starts = Starts([nn.Linear(2, 3), nn.Linear(2, 3)])
        >>> starts.track(torch.tensor([0.7, 0.5]))
        >>> starts.best is starts.heads[1], starts(torch.zeros(1, 2)).shape
        (True, torch.Size([1, 3]))
    """

    def __init__(self, heads: Sequence[nn.Module], *, momentum: float = 0.02) -> None:
        super().__init__()
        require(len(heads) > 0, "heads", len(heads), "at least one")
        self.heads, self.momentum = nn.ModuleList(heads), momentum
        self.losses: Tensor
        self.register_buffer("losses", torch.empty(len(heads)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Forget all batches."""
        nn.init.constant_(self.losses, torch.nan)

    @property
    def best(self) -> nn.Module:
        """The head with the lowest running loss; the first one before any batch."""
        return self.heads[int(self.losses.nan_to_num(torch.inf).argmin())]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the best head."""
        return self.best(*args, **kwargs)

    @torch.no_grad()
    def track(self, losses: Float[Tensor, " h"]) -> None:
        """Update the running means by the losses of a batch, which are averaged over processes."""
        now = reduced(losses.detach().to(self.losses), mean=True)
        self.losses.copy_(
            torch.where(self.losses.isnan(), now, self.losses.lerp(now, self.momentum))
        )


def answering(head: nn.Module) -> nn.Module:
    """Return the head that predicts: the best one of `Starts`, or the head itself."""
    return cast(nn.Module, head.best) if isinstance(head, Starts) else head
