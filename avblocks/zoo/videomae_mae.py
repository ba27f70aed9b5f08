"""Masked pre-training of VideoMAE (Tong et al. 2022)."""

import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from avblocks.data import Normalize
from avblocks.decoder import Decoder
from avblocks.mae import MAEOutput
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import patchify
from avblocks.nn.position import SinCosPosition
from avblocks.nn.sincos import sequence_position
from avblocks.nn.targets import masked_mse
from avblocks.nn.vit import ViT
from avblocks.zoo.names import depth_of, heads_of, vit_encoder, vit_names
from avblocks.zoo.videomae import PREFIXES


class VideoMAE(nn.Module):
    """Masked pre-training on video, with targets normalized per patch and color.

    Args:
        encoder: encoder from `videomae`.
        decoder: decoder of the masked patches, without fusion tokens.

    Example:
        >>> import torch
        >>> from avblocks import RandomMask, TubeMask
        >>> from avblocks.zoo import videomae
        >>> encoder = videomae(64, depth=1, num_heads=1, size=(4, 32, 32))
        >>> model = videomae_mae(encoder, dim=32, depth=1, num_heads=1)
        >>> mask = TubeMask(RandomMask(0.75))((2, 2, 2), batch=1)
        >>> model(torch.rand(1, 3, 4, 32, 32), mask=mask).pred_image.shape
        torch.Size([1, 6, 1536])
    """

    def __init__(self, encoder: ViT, *, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder, self.normalize = encoder, decoder, Normalize()

    def forward(self, video: Float[Tensor, "b c t height width"], *, mask: Mask) -> MAEOutput:
        """Compute loss and predictions of masked patches, for frames normalized by `Normalize`."""
        kept = self.encoder(video, ids_keep=mask.ids_keep)
        grid, none = self.encoder.grid(video), kept.new_empty(len(kept), 0, kept.shape[2])
        pred = self.decoder(kept, fusion=none, mask=mask, grid=grid)
        loss = masked_mse(pred, self.targets(video, mask=mask), normalize=False)
        return MAEOutput(loss_image=loss, loss_audio=None, pred_image=pred, pred_audio=None)

    def targets(
        self, video: Float[Tensor, "b c t height width"], *, mask: Mask
    ) -> Float[Tensor, "b u v"]:
        """Normalize each color of each masked patch to zero mean and unit variance.

        The standard deviation is that of values in [0, 1], plus 1e-6.
        """
        patches = mask.predicted(patchify(video, patch=self.encoder.patch))
        colors = patches.unflatten(-1, (-1, video.shape[1]))
        scale = self.normalize.std.flatten() / 255
        centered = (colors - colors.mean(dim=-2, keepdim=True)) * scale
        return (centered / (colors.std(dim=-2, keepdim=True) * scale + 1e-6)).flatten(-2)


def videomae_mae(
    encoder: ViT,
    *,
    dim: int = 384,
    depth: int = 4,
    num_heads: int = 6,
    mlp_ratio: float = 4.0,
    norm_eps: float = 1e-12,
) -> VideoMAE:
    """Build the pre-training model of VideoMAE around an encoder.

    Args:
        encoder: encoder from `videomae`.
        dim: width of the decoder.
        depth: number of decoder blocks.
        num_heads: heads of each decoder block.
        mlp_ratio: hidden width of the decoder MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms in decoder blocks; that of the final norm is 1e-5.
    """
    grid = encoder.usual_grid
    decoder = Decoder(
        encoder.dim,
        grid=grid,
        patch_values=math.prod(encoder.patch) * encoder.channels,
        dim=dim,
        depth=depth,
        num_heads=num_heads,
        mlp_ratio=mlp_ratio,
        norm_eps=norm_eps,
        embed=nn.Linear(encoder.dim, dim, bias=False),
        pos_embed=SinCosPosition(dim, grid=grid, formula=sequence_position),
        norm=layer_norm(dim, norm_eps=1e-5),
    )
    return VideoMAE(encoder, decoder=decoder)


def from_videomae_mae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the tensors of a whole pre-trained `VideoMAE`."""
    named = vit_names(state, prefixes=PREFIXES)
    decoder = {
        n.replace(".head.", ".pred."): x for n, x in named.items() if n.startswith("decoder.")
    }
    decoder["decoder.embed.weight"] = named["encoder_to_decoder.weight"]
    decoder["decoder.mask_token"] = named["mask_token"]
    return {f"encoder.{name}": x for name, x in vit_encoder(named).items()} | decoder


def videomae_mae_sizes(
    state: Mapping[str, Tensor], *, num_heads: int | None = None
) -> dict[str, Any]:
    """Return the arguments of `videomae_mae` for a file; for the encoder, see `videomae_sizes`."""
    named = from_videomae_mae(state)
    dim = named["decoder.embed.weight"].shape[0]
    return {
        "dim": dim,
        "depth": depth_of(named, blocks="decoder.blocks."),
        "num_heads": heads_of(dim) if num_heads is None else num_heads,
        "mlp_ratio": named["decoder.blocks.0.mlp.fc2.weight"].shape[1] / dim,
    }
