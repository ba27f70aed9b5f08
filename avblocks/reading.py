"""`ReadingDecoder`: a decoder whose masked patches cross-attend to the encoder tokens only."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avblocks.nn.init import normal, xavier
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.nn.position import SinCosPosition, decoder_positions, place_positions
from avblocks.nn.reading import LayerMixture, ReadingBlock
from avblocks.shapes import require_positive


class ReadingDecoder(nn.Module):
    """MAE decoder whose masked patches are queries to the encoder tokens (CrossMAE).

    The query of a patch starts from its position and reads the fusion tokens and the kept patches.
    Masked patches do not read each other, so any fraction of them can be predicted, at a cost
    proportional to it.

    Args:
        encoder_dim: width of the encoder tokens.
        grid: default number of patches along each axis.
        patch_values: values of a patch.
        dim: width of the decoder.
        depth: number of blocks.
        num_heads: heads of each block.
        num_layers: number of encoder layers, including the input of the first, of which the blocks
            read mixtures; with ``None`` they read the final tokens.
        norm_eps: epsilon of the norms.
        pos_embed: positions of the patches; ``None`` means fixed sine-cosine ones of ``grid``.
        checkpointing: compute each block again in the backward pass.

    Raises:
        ValueError: if a number is out of range.

    Source: CrossMAE (TMLR 2025, arXiv 2401.14391).

    Example:
        >>> from avblocks import RandomMask
        >>> sizes = {"patch_values": 256, "dim": 32, "depth": 2, "num_heads": 4}
        >>> decoder = ReadingDecoder(64, grid=(2, 3), **sizes)
        >>> mask = RandomMask(0.5)((2, 3), batch=2).predicting(1 / 3)
        >>> kept, fusion = torch.zeros(2, 3, 64), torch.zeros(2, 16, 64)
        >>> decoder(kept, fusion=fusion, mask=mask, grid=(2, 3)).shape
        torch.Size([2, 1, 256])
    """

    def __init__(
        self,
        encoder_dim: int,
        *,
        grid: tuple[int, ...],
        patch_values: int,
        dim: int = 512,
        depth: int = 8,
        num_heads: int = 16,
        num_layers: int | None = None,
        norm_eps: float = 1e-6,
        pos_embed: nn.Module | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        require_positive(encoder_dim=encoder_dim, patch_values=patch_values, dim=dim, depth=depth)
        self.encoder_dim, self.patch_values = encoder_dim, patch_values
        self.checkpointing = checkpointing
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        # A module with a grid.
        self.pos_embed: Any = SinCosPosition(dim, grid=grid) if pos_embed is None else pos_embed
        numbers = {"source_dim": encoder_dim, "num_heads": num_heads, "norm_eps": norm_eps}
        self.blocks = nn.ModuleList(ReadingBlock(dim, **numbers) for _ in range(depth))
        self.mixture = (
            None
            if num_layers is None
            else LayerMixture(num_layers, readers=depth, dim=encoder_dim, norm_eps=norm_eps)
        )
        self.norm = layer_norm(dim, norm_eps=norm_eps)
        self.pred = nn.Linear(dim, patch_values)
        self.reset_parameters()
        self.register_load_state_dict_pre_hook(place_positions)

    def reset_parameters(self) -> None:
        """Xavier-uniform weights; normal mask token with a standard deviation of 0.02."""
        xavier(self.pred)
        normal(self.mask_token)

    def forward(
        self,
        kept: Float[Tensor, "b k d"],
        *,
        fusion: Float[Tensor, "b n_f d"],
        mask: Mask,
        grid: tuple[int, ...],
        layers: Sequence[Float[Tensor, "b n d"]] = (),
        valid: Bool[Tensor, "b n_p"] | None = None,
    ) -> Float[Tensor, "b u v"]:
        """Predict patches, in the order of ``mask.to_predict``.

        Args:
            kept: final encoder tokens of the kept patches.
            fusion: final fusion tokens.
            mask: mask over the patches.
            grid: patches along each axis.
            layers: ``[fusion; kept]`` of each encoder layer, for mixtures.
            valid: False at padded patches, which are not read.

        Raises:
            ValueError: if the tokens do not match the mask.
        """
        position = decoder_positions(self, kept, fusion=fusion, mask=mask, grid=grid)
        keys = None
        if valid is not None:
            keys = F.pad(valid.gather(1, mask.ids_keep), (fusion.shape[1], 0), value=True)
        tokens = self.mask_token + position[mask.to_predict]
        return self.read(tokens, self._sources(kept, fusion, layers), valid=keys)

    def read(
        self,
        tokens: Float[Tensor, "b u d_dec"],
        sources: Sequence[Float[Tensor, "b n d"]],
        *,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b u v"]:
        """Predict from queries; each block reads one of the sources."""
        for block, source in zip(self.blocks, sources, strict=True):
            if self.checkpointing:
                tokens = checkpoint(block, tokens, source, valid=valid, use_reentrant=False)
            else:
                tokens = block(tokens, source, valid=valid)
        return self.pred(self.norm(tokens))

    def _sources(
        self,
        kept: Float[Tensor, "b k d"],
        fusion: Float[Tensor, "b n_f d"],
        layers: Sequence[Float[Tensor, "b n d"]],
    ) -> list[Float[Tensor, "b n d"]]:
        if self.mixture is not None:
            return self.mixture(layers)
        return [torch.cat((fusion, kept), dim=1)] * len(self.blocks)
