"""Fine-tuning with low-rank adapters (LoRA) on the linear layers of a frozen encoder.

Paper:
    "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.

Commands:
    python -m recipes.paper_finetune_lora         (after python -m recipes.paper_pretrain: minutes)

The presets are those of `paper_finetune` with four times the learning rate and no layer decay.
Adapters of rank 8 are on the linear layers of all blocks, including fusion; the whole head is
trained. Compare with `python -m recipes.paper_finetune` and
`python -m recipes.paper_linear_probe`.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks import AVEncoder
from avblocks.tasks import Classification
from recipes import paper_finetune
from recipes.common.cli import run_cli
from recipes.paper_finetune import Config

RANK = 8
PRESETS = {
    name: (what, replace(config, base_lr=4 * config.base_lr, layer_decay=1.0))
    for name, (what, config) in paper_finetune.PRESETS.items()
}


class LowRank(nn.Module):
    """A frozen linear layer plus a trained low-rank term, initially zero."""

    def __init__(self, layer: nn.Linear, *, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d_out"]:
        """Return the sum of both terms."""
        return self.layer(x) + self.up(self.down(x))

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return an equivalent linear layer."""
        self.layer.weight += self.up.weight @ self.down.weight
        return self.layer


def adapt(encoder: AVEncoder, *, rank: int = RANK) -> None:
    """Freeze an encoder, and add an adapter to each linear layer."""
    encoder.requires_grad_(False)
    for module in list(encoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, LowRank(child, rank=rank))


def merge(encoder: AVEncoder) -> None:
    """Merge the adapters of `adapt` into the weights."""
    for module in list(encoder.modules()):
        for name, child in module.named_children():
            if isinstance(child, LowRank):
                setattr(module, name, child.merged())


def adapt_task(task: Classification) -> None:
    """Add adapters to the encoder of a task."""
    adapt(task.encoder)


def main(config: Config) -> None:
    """Train adapters and classifier, like `paper_finetune`."""
    paper_finetune.main(config, adapt=adapt_task)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
