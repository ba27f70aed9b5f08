"""CAV-MAE Sync: CAV-MAE with a class token and registers per modality, for retrieval."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.encoder import Audio, AVEncoder, Image
from avblocks.fusion.layer import FusionLayer
from avblocks.nn.block import Block
from avblocks.tokens import AVTokens, with_prefix, without_prefix
from avblocks.zoo.cavmae import tower
from avblocks.zoo.joint import JointLayer, JointNorm


class ContrastLayer(FusionLayer):
    """A block for the image and one for the audio, used only if the other modality is missing.

    Args:
        image: block of the image.
        audio: block of the audio.
    """

    def __init__(self, *, image: Block, audio: Block) -> None:
        super().__init__()
        self.dim = image.dim
        self.image, self.audio = image, audio

    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        """Update a modality if the other one is missing."""
        if tokens.audio is None and tokens.image is not None:
            return replace(tokens, image=self.image(tokens.image, valid=tokens.image_valid))
        if tokens.image is None and tokens.audio is not None:
            return replace(tokens, audio=self.audio(tokens.audio, valid=tokens.audio_valid))
        return tokens


class Aside(FusionLayer):
    """A layer that excludes the first prefix tokens, which are not changed.

    Args:
        layer: the layer.
        together: number of excluded tokens per modality if both modalities are given.
        alone: number of excluded tokens if one modality is given.
    """

    def __init__(self, layer: FusionLayer, *, together: int, alone: int) -> None:
        super().__init__()
        self.layer, self.together, self.alone = layer, together, alone

    def forward(
        self, tokens: AVTokens, *, image: nn.Module | None, audio: nn.Module | None
    ) -> AVTokens:
        """Run the layer, and put the excluded tokens in front of its result."""
        both = tokens.image is not None and tokens.audio is not None
        count = self.together if both else self.alone
        inside = without_prefix(tokens, image=count, audio=count)
        apart = {"image_prefix": inside.image_prefix, "audio_prefix": inside.audio_prefix}
        bare = replace(inside, image_prefix=None, audio_prefix=None)
        return with_prefix(replace(self.layer(bare, image=image, audio=audio), **apart))


@builder
def cavmae_sync_encoder(
    dim: int = 768,
    *,
    depth: int = 11,
    joint_depth: int = 1,
    contrast_depth: int = 2,
    num_heads: int = 12,
    image_size: int | tuple[int, int] = 224,
    audio_size: tuple[int, int] = (128, 416),
    patch: int = 16,
    registers: int = 8,
    class_token: bool = True,
    mlp_ratio: float = 4.0,
    norm_eps: float = 1e-5,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> AVEncoder:
    """Build the encoder of CAV-MAE Sync, whose prefix tokens are registers, then the class token.

    Registers are excluded from the joint layers. A single modality passes the last joint layer
    with its class token, and then its contrastive blocks; both modalities together pass the joint
    layers without class tokens.

    Args:
        dim: width of a token.
        depth: blocks of each tower.
        joint_depth: joint layers after them.
        contrast_depth: contrastive blocks of each modality.
        num_heads: heads of each block.
        image_size: side of the image, or (height, width).
        audio_size: (mel bins, frames) of the spectrogram.
        patch: side of a patch.
        registers: registers of each modality.
        class_token: whether each has a class token.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms.
        device: device of the weights.
        dtype: data type of the weights.

    Source: CAV-MAE Sync (CVPR 2025, arXiv 2505.01237), ``edsonroteia/cav-mae-sync``.
    """
    numbers: dict[str, Any] = {
        "num_heads": num_heads,
        "mlp_ratio": mlp_ratio,
        "norm_eps": norm_eps,
    }
    prefix = registers + class_token
    streams = numbers | {"depth": depth, "patch": patch, "prefix_tokens": prefix}
    last = joint_depth - 1
    joint = [JointLayer(dim, alone=i == last, **numbers) for i in range(joint_depth)]
    contrast = [
        ContrastLayer(image=Block(dim, **numbers), audio=Block(dim, **numbers))
        for _ in range(contrast_depth)
    ]
    layers = [*joint, *contrast, JointNorm(dim, norm_eps=norm_eps)]
    return AVEncoder(
        image=tower(dim, size=image_size, channels=3, **streams),
        audio=tower(dim, size=audio_size, channels=1, **streams),
        fusion=[None] * depth + [Aside(x, together=prefix, alone=registers) for x in layers],
        num_tokens=0,
    )


@dataclass(frozen=True)
class RetrievalFeatures:
    """Tokens of the patches and the class token of one modality; ``None`` without that token."""

    local_tokens: Float[Tensor, "b n d"]
    global_token: Float[Tensor, "b d"] | None


def retrieval_features(
    encoder: AVEncoder, *, image: Image = None, audio: Audio = None
) -> RetrievalFeatures:
    """Features of one modality, for similarities such as `max_mean_similarity`.

    Args:
        encoder: encoder from `cavmae_sync_encoder`, with a class token, or `cavmae_encoder`.
        image: images, if ``audio`` is not given.
        audio: spectrograms, if ``image`` is not given.
    """
    tokens = encoder(image=image, audio=audio)
    patches = tokens.audio if tokens.image is None else tokens.image
    prefix = tokens.audio_prefix if tokens.image is None else tokens.image_prefix
    last = list(encoder.fusion_blocks.values())[-1]
    registers = last.alone if isinstance(last, Aside) else 0
    assert patches is not None
    if prefix is None or prefix.shape[1] == registers:
        return RetrievalFeatures(patches, None)
    return RetrievalFeatures(patches, prefix[:, registers])
