"""MBT, the Multimodal Bottleneck Transformer (Nagrani et al. 2021)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.encoder import Audio, AVEncoder, Image
from avblocks.fusion.exchange import BottleneckLayer, CrossLayer
from avblocks.nn.block import Block
from avblocks.nn.mlp import Mlp
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import LearnedPosition
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, require, sides
from avblocks.tokens import AVTokens


class MBT(nn.Module):
    """An encoder and a linear classifier on its class tokens, or else on the mean of all tokens.

    Args:
        encoder: the encoder, of `mbt_encoder`.
        num_classes: number of classes.

    Example:
        >>> numbers = {"depth": 3, "num_heads": 1, "fusion_layer": 2, "num_classes": 7}
        >>> model = mbt(64, image_size=(2, 32, 32), audio_size=(32, 48), **numbers)
        >>> model(image=torch.zeros(1, 3, 2, 32, 32), audio=torch.zeros(1, 1, 32, 48)).shape
        torch.Size([1, 7])
    """

    def __init__(self, encoder: AVEncoder, *, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, num_classes)

    def forward(self, *, image: Image, audio: Audio) -> Float[Tensor, "b classes"]:
        """Logits of videos and spectrograms, of which one may be missing."""
        return self.head(class_mean(self.encoder(image=image, audio=audio)))


def class_mean(tokens: AVTokens) -> Float[Tensor, "b d"]:
    """Mean of the streams' class tokens, or of all their tokens where they have no class token."""
    prefix = tokens.image_prefix, tokens.audio_prefix
    classes = [x[:, :1] for x in prefix if x is not None]
    patches = [x for x in (tokens.image, tokens.audio) if x is not None]
    return torch.cat(classes or patches, dim=1).mean(dim=1)


def mbt(dim: int = 768, *, num_classes: int = 527, **sizes: Any) -> MBT:
    """MBT with its classifier; takes the other arguments of `mbt_encoder`."""
    encoder = mbt_encoder(dim, **sizes)
    return MBT(encoder, num_classes=num_classes).to(encoder.fusion_tokens)


@builder
def mbt_encoder(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    image_size: int | tuple[int, ...] = (8, 224, 224),
    audio_size: int | tuple[int, ...] = (128, 800),
    patch: int | tuple[int, ...] = (1, 16, 16),
    fusion_layer: int = 8,
    num_bottlenecks: int = 5,
    class_tokens: bool = True,
    mlp_ratio: float = 4.0,
    drop_path: float = 0.0,
    norm_eps: float = 1e-6,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> AVEncoder:
    """Build MBT's encoder: two ViTs with bottleneck tokens, or cross-attention, from a layer on.

    It takes spectrograms of (mel bins, frames), like all encoders of avblocks. In the code of the
    authors the axes are swapped, so its tokens are in another order. The streams share their final
    norm.

    Args:
        dim: width of a token.
        depth: number of blocks of each stream.
        num_heads: heads of each block.
        image_size: usual (frames, height, width) of the video.
        audio_size: usual (mel bins, frames) of the spectrogram.
        patch: (frames, height, width) of a patch; a patch of the spectrogram has ``width`` mel bins
            and ``height`` frames.
        fusion_layer: first layer with fusion.
        num_bottlenecks: number of bottleneck tokens; 0 is plain cross-attention. With class tokens
            the published code has one more than its ``n_bottlenecks``.
        class_tokens: whether each stream has a class token.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        drop_path: stochastic depth.
        norm_eps: epsilon of the norms.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range.

    Source: arXiv 2107.00135; ``scenic/projects/mbt`` of google-research/scenic.
    """
    fits = 0 <= fusion_layer <= depth
    require(fits, "fusion_layer", fusion_layer, f"from 0 to the depth {depth}")
    patch = sides(patch, axes=3, name="patch")
    norm = layer_norm(dim, norm_eps=norm_eps)

    def stream(size: tuple[int, ...], patch: tuple[int, ...], channels: int) -> ViT:
        numbers = {"num_heads": num_heads, "drop_path": drop_path, "norm_eps": norm_eps}
        return ViT(
            patch_embed=PatchEmbed(dim, patch=patch, channels=channels),
            pos_embed=LearnedPosition(dim, grid=grid_of(size, patch)),
            blocks=[
                Block(dim, **numbers, mlp=Mlp(dim, ratio=mlp_ratio, act=nn.GELU("tanh")))
                for _ in range(depth)
            ],
            norm=norm,
            prefix_tokens=int(class_tokens),
        )

    layer = BottleneckLayer(dim) if num_bottlenecks else CrossLayer(dim)
    return AVEncoder(
        image=stream(sides(image_size, axes=3, name="image_size"), patch, 3),
        audio=stream(sides(audio_size, axes=2, name="audio_size"), patch[:0:-1], 1),
        fusion=[None] * fusion_layer + [layer] * (depth - fusion_layer),
        num_tokens=num_bottlenecks,
    )
