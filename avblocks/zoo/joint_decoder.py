"""CAV-MAE's decoder: one stack of blocks over the patches of both modalities."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.block import Block
from avblocks.nn.init import normal, xavier
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.tokens import AVTokens
from avblocks.zoo.joint import ModalityPosition


class JointDecoder(nn.Module):
    """Decoder that predicts all patches of both modalities from the kept patches of both.

    Args:
        encoder_dim: width of the encoder tokens.
        image_grid: patches of the image along each axis.
        audio_grid: patches of the spectrogram along each axis.
        patch: side of a patch.
        dim: width of the decoder.
        depth: number of blocks.
        num_heads: heads of each block.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms.

    Source: CAV-MAE (ICLR 2023), ``forward_decoder``.

    Example:
        >>> decoder = JointDecoder(64, image_grid=(2, 2), audio_grid=(2, 3), dim=32, depth=1)
        >>> masks = {
        ...     "image_mask": Mask(torch.tensor([[0]]), torch.tensor([[1, 2, 3]])),
        ...     "audio_mask": Mask(torch.tensor([[0, 1]]), torch.tensor([[2, 3, 4, 5]])),
        ... }
        >>> kept = [torch.zeros(1, n, 64) for n in (1, 2, 0)]
        >>> [x.shape for x in decoder(AVTokens(*kept), **masks)]
        [torch.Size([1, 4, 768]), torch.Size([1, 6, 256])]
    """

    def __init__(
        self,
        encoder_dim: int,
        *,
        image_grid: tuple[int, int],
        audio_grid: tuple[int, int],
        patch: int = 16,
        dim: int = 512,
        depth: int = 8,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        numbers: dict[str, Any] = {
            "num_heads": num_heads,
            "mlp_ratio": mlp_ratio,
            "norm_eps": norm_eps,
        }
        self.embed = nn.Linear(encoder_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.image_position = ModalityPosition(dim, grid=image_grid)
        self.audio_position = ModalityPosition(dim, grid=audio_grid)
        self.blocks = nn.ModuleList(Block(dim, **numbers) for _ in range(depth))
        self.norm = layer_norm(dim, norm_eps=norm_eps)
        self.image_pred = nn.Linear(dim, 3 * patch**2)
        self.audio_pred = nn.Linear(dim, patch**2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights; normal mask token with a standard deviation of 0.02."""
        xavier(self.embed, self.image_pred, self.audio_pred)
        normal(self.mask_token)

    def forward(
        self, tokens: AVTokens, *, image_mask: Mask, audio_mask: Mask
    ) -> tuple[Float[Tensor, "b n_v v_v"], Float[Tensor, "b n_a v_a"]]:
        """Predict all patches, including kept ones, in the order of their grids.

        Args:
            tokens: kept patches of both modalities.
            image_mask: mask over the default grid of the image.
            audio_mask: mask over the default grid of the spectrogram.
        """
        image = self._filled(tokens.image, image_mask, self.image_position)
        audio = self._filled(tokens.audio, audio_mask, self.audio_position)
        x = torch.cat((image, audio), dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        n = math.prod(self.image_position.grid)
        return self.image_pred(x[:, :n]), self.audio_pred(x[:, n:])

    def _filled(
        self, kept: Float[Tensor, "b k d"] | None, mask: Mask, position: ModalityPosition
    ) -> Float[Tensor, "b n d_dec"]:
        assert kept is not None  # both modalities are given in pre-training
        b, u = mask.ids_masked.shape
        masked = self.mask_token.expand(b, u, -1)
        return mask.restore(kept=self.embed(kept), masked=masked) + position(position.grid)
