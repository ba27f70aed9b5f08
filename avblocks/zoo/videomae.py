"""VideoMAE (Tong et al. 2022): the encoder of video, and its pre-training."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.data import Normalize
from avblocks.decoder import Decoder
from avblocks.mae import MAEOutput, masked_mse
from avblocks.nn.block import Block
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed, patchify
from avblocks.nn.position import SinCosPosition, sequence_position
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, sides
from avblocks.zoo.names import depth_of, heads_of, vit_encoder, vit_names, vit_sizes

_PREFIXES = ("videomae.", "encoder.")


@builder
def videomae(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    size: int | tuple[int, ...] = (16, 224, 224),
    patch: int | tuple[int, ...] = (2, 16, 16),
    mlp_ratio: float = 4.0,
    drop_path: float = 0.0,
    final_norm: bool = True,
    norm_eps: float = 1e-12,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """VideoMAE's encoder: a ViT over tubelets, whose positions count them as words of a sentence.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual (frames, height, width) of the video.
        patch: (frames, height, width) of a patch.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        drop_path: stochastic depth.
        final_norm: whether there is a norm after the blocks; fine-tuned models have none.
        norm_eps: epsilon of the norms: transformers' 1e-12; the authors' code has 1e-6.
        device: where it is built.
        dtype: number format of its weights.

    Raises:
        ValueError: if a number is impossible.

    Source: arXiv 2203.12602; ``VideoMAEModel`` of transformers 5.24.0.

    Example:
        >>> model = videomae(64, depth=1, num_heads=1, size=(4, 32, 32))
        >>> model(torch.zeros(1, 3, 4, 32, 32)).shape
        torch.Size([1, 8, 64])
    """
    size, patch = sides(size, axes=3, name="size"), sides(patch, axes=3, name="patch")
    numbers = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch),
        pos_embed=SinCosPosition(dim, grid=grid_of(size, patch), formula=sequence_position),
        blocks=[Block(dim, **numbers, drop_path=drop_path) for _ in range(depth)],
        norm=layer_norm(dim, norm_eps=norm_eps) if final_norm else nn.Identity(),
    )


class VideoMAE(nn.Module):
    """Masked pre-training on video: targets are normalized per patch and color.

    Args:
        encoder: the encoder, of `videomae`.
        decoder: predicts the masked patches, without fusion tokens.

    Example:
        >>> from avblocks import RandomMask, TubeMask
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
        """Loss and prediction of the masked patches, for frames normalized as `Normalize` does."""
        kept = self.encoder(video, ids_keep=mask.ids_keep)
        grid, none = self.encoder.grid(video), kept.new_empty(len(kept), 0, kept.shape[2])
        pred = self.decoder(kept, fusion=none, mask=mask, grid=grid)
        loss = masked_mse(pred, self.targets(video, mask=mask), normalize=False)
        return MAEOutput(loss_image=loss, loss_audio=None, pred_image=pred, pred_audio=None)

    def targets(
        self, video: Float[Tensor, "b c t height width"], *, mask: Mask
    ) -> Float[Tensor, "b u v"]:
        """The masked patches, each color of each less its mean and over its deviation.

        The deviation is that of values in [0, 1], plus 1e-6.
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
    """VideoMAE's pre-training around an encoder.

    Args:
        encoder: the encoder, of `videomae`.
        dim: width of the decoder.
        depth: its number of blocks.
        num_heads: heads of each of them.
        mlp_ratio: hidden width of its MLPs as a multiple of ``dim``.
        norm_eps: epsilon of its blocks' norms; that of its final norm is 1e-5 in transformers.
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


def from_videomae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors, in the names of transformers or of its authors, by ours.

    A decoder or a classifier is left out. Keys have no bias: ours get zeros, which change nothing.
    """
    return vit_encoder(vit_names(state, prefixes=_PREFIXES))


def from_videomae_mae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a whole pre-trained `VideoMAE` by our names."""
    named = vit_names(state, prefixes=_PREFIXES)
    decoder = {
        n.replace(".head.", ".pred."): x for n, x in named.items() if n.startswith("decoder.")
    }
    decoder["decoder.embed.weight"] = named["encoder_to_decoder.weight"]
    decoder["decoder.mask_token"] = named["mask_token"]
    return {f"encoder.{name}": x for name, x in vit_encoder(named).items()} | decoder


def videomae_sizes(
    state: Mapping[str, Tensor],
    *,
    size: tuple[int, ...] = (16, 224, 224),
    num_heads: int | None = None,
) -> dict[str, Any]:
    """The arguments of `videomae` for a file.

    Args:
        state: the file's state dict, in its own names.
        size: usual (frames, height, width), which the file does not say.
        num_heads: heads; ``None`` means the published models' number.
    """
    named = from_videomae(state)
    sizes = vit_sizes(named, num_heads=num_heads)
    return sizes | {"size": size, "final_norm": "norm.weight" in named}


def videomae_mae_sizes(
    state: Mapping[str, Tensor], *, num_heads: int | None = None
) -> dict[str, Any]:
    """The arguments of `videomae_mae` for a file, less the encoder: see `videomae_sizes`."""
    named = from_videomae_mae(state)
    dim = named["decoder.embed.weight"].shape[0]
    return {
        "dim": dim,
        "depth": depth_of(named, blocks="decoder.blocks."),
        "num_heads": heads_of(dim) if num_heads is None else num_heads,
        "mlp_ratio": named["decoder.blocks.0.mlp.fc2.weight"].shape[1] / dim,
    }
