"""The decoder of a masked autoencoder."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avblocks.nn.block import Block
from avblocks.nn.init import normal, xavier
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.nn.position import SinCosPosition, decoder_positions, place_positions
from avblocks.shapes import given, require_positive


class Decoder(nn.Module):
    """MAE decoder of one modality that also reads the fusion tokens.

    Blocks run over ``[fusion; kept; masked]`` tokens. The prediction, and without padding also the
    queries and the MLP of the last block, are computed only for masked patches, since the loss
    needs no others.

    Args:
        encoder_dim: width of the encoder tokens.
        grid: default number of patches along each axis.
        patch_values: values of a patch.
        dim: width of the decoder.
        depth: number of blocks.
        num_heads: heads of each block.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms (reference: 1e-5).
        embed: module from encoder tokens to the width of the decoder; ``None`` is a linear layer.
        pos_embed: module from a grid to positions; ``None`` is `SinCosPosition`.
        norm: final norm; ``None`` is a layer norm.
        checkpointing: keep only the tokens between blocks for the backward pass, as in `AVEncoder`.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> from avblocks import RandomMask
        >>> decoder = Decoder(64, grid=(2, 3), patch_values=256, dim=32, depth=2, num_heads=4)
        >>> mask = RandomMask(0.5)((2, 3), batch=2)
        >>> kept, fusion = torch.zeros(2, 3, 64), torch.zeros(2, 16, 64)
        >>> decoder(kept, fusion=fusion, mask=mask, grid=(2, 3)).shape
        torch.Size([2, 3, 256])
    """

    embed: Any  # modules of these kinds, or the ones passed in their place
    pos_embed: Any

    def __init__(
        self,
        encoder_dim: int,
        *,
        grid: tuple[int, ...],
        patch_values: int,
        dim: int = 512,
        depth: int = 8,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        norm_eps: float = 1e-5,
        embed: nn.Module | None = None,
        pos_embed: nn.Module | None = None,
        norm: nn.Module | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        require_positive(encoder_dim=encoder_dim, patch_values=patch_values, dim=dim, depth=depth)
        self.encoder_dim, self.patch_values = encoder_dim, patch_values
        self.checkpointing = checkpointing
        self.embed: Any = nn.Linear(encoder_dim, dim) if embed is None else embed
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        # A module with a grid.
        self.pos_embed: Any = SinCosPosition(dim, grid=grid) if pos_embed is None else pos_embed
        numbers = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
        self.blocks = nn.ModuleList(Block(dim, **numbers) for _ in range(depth))
        self.norm = layer_norm(dim, norm_eps=norm_eps) if norm is None else norm
        self.pred = nn.Linear(dim, patch_values)
        self.reset_parameters()
        self.register_load_state_dict_pre_hook(place_positions)

    def reset_parameters(self) -> None:
        """Xavier-uniform weights; normal mask token with a standard deviation of 0.02."""
        xavier(*(part for part in (self.embed, self.pred) if isinstance(part, nn.Linear)))
        normal(self.mask_token)

    def forward(
        self,
        kept: Float[Tensor, "b k d"],
        *,
        fusion: Float[Tensor, "b n_f d"],
        mask: Mask,
        grid: tuple[int, ...],
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b u v"]:
        """Predict the masked patches, in the order of ``mask.ids_masked``.

        Args:
            kept: encoder tokens of the kept patches.
            fusion: the fusion tokens.
            mask: mask over the patches.
            grid: patches along each axis.
            valid: False at padded patches, which are not attended to.

        Raises:
            ValueError: if the tokens do not match the mask.
        """
        position = decoder_positions(self, kept, fusion=fusion, mask=mask, grid=grid)
        masked = self.mask_token + position[mask.ids_masked]
        seen = torch.cat((self.embed(fusion), self.embed(kept) + position[mask.ids_keep]), dim=1)
        tokens = torch.cat((seen, masked), dim=1)
        keys = None if valid is None else _in_order(valid, mask, fusion.shape[1])
        *blocks, last = self.blocks
        for block in blocks:
            tokens = self._run(block, tokens, valid=keys)
        if keys is not None:  # a context has no padding
            tokens = self._run(last, tokens, valid=keys)[:, -masked.shape[1] :]
        else:
            seen, masked = tokens.split((seen.shape[1], masked.shape[1]), dim=1)
            tokens = self._run(last, masked, context=seen)
        return self.pred(self.norm(tokens))

    def _run(
        self,
        block: nn.Module,
        tokens: Float[Tensor, "b n d"],
        *,
        context: Float[Tensor, "b n_c d"] | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        more = given(context=context, valid=valid)
        if self.checkpointing:
            return checkpoint(block, tokens, use_reentrant=False, **more)
        return block(tokens, **more)


def _in_order(valid: Bool[Tensor, "b n"], mask: Mask, num_fusion: int) -> Bool[Tensor, "b n_all"]:
    """Return which of ``[fusion; kept; masked]`` are valid."""
    patches = (valid.gather(1, mask.ids_keep), valid.gather(1, mask.ids_masked))
    return F.pad(torch.cat(patches, dim=1), (num_fusion, 0), value=True)
