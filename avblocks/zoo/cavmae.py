"""CAV-MAE: two towers, joint layers, reconstruction with contrast, and a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.encoder import Audio, AVEncoder, Image
from avblocks.fusion.layer import FusionLayer
from avblocks.heads.contrast import info_nce
from avblocks.mae import masked_mse
from avblocks.nn.block import Block
from avblocks.nn.mask import Mask
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed, patchify
from avblocks.nn.vit import ViT
from avblocks.shapes import grid_of, sides
from avblocks.tokens import AVTokens, Record
from avblocks.zoo.joint import JointLayer, JointNorm, ModalityPosition
from avblocks.zoo.joint_decoder import JointDecoder


def tower(
    dim: int,
    *,
    depth: int,
    num_heads: int,
    size: int | tuple[int, int],
    channels: int,
    patch: int = 16,
    mlp_ratio: float = 4.0,
    norm_eps: float = 1e-5,
    prefix_tokens: int = 0,
) -> ViT:
    """The blocks of one modality, without a final norm: that one follows the joint layers."""
    grid = grid_of(sides(size, axes=2, name="size"), (patch, patch))
    numbers: dict[str, Any] = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
    return ViT(
        patch_embed=PatchEmbed(dim, patch=(patch, patch), channels=channels),
        pos_embed=ModalityPosition(dim, grid=grid),
        blocks=[Block(dim, **numbers) for _ in range(depth)],
        norm=nn.Identity(),
        prefix_tokens=prefix_tokens,
    )


@builder
def cavmae_encoder(
    dim: int = 768,
    *,
    depth: int = 11,
    joint_depth: int = 1,
    num_heads: int = 12,
    image_size: int | tuple[int, int] = 224,
    audio_size: tuple[int, int] = (128, 1024),
    patch: int = 16,
    mlp_ratio: float = 4.0,
    norm_eps: float = 1e-5,
) -> AVEncoder:
    """CAV-MAE's encoder; given one modality alone, its retrieval features.

    Args:
        dim: width of a token.
        depth: blocks of each tower.
        joint_depth: joint layers after them.
        num_heads: heads of each block.
        image_size: side of the image, or (height, width).
        audio_size: (mel bins, frames) of the spectrogram.
        patch: side of a patch.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms.

    Source: CAV-MAE (ICLR 2023, arXiv 2210.07839), ``YuanGongND/cav-mae``.

    Example:
        >>> encoder = cavmae_encoder(64, depth=1, num_heads=4, image_size=32, audio_size=(32, 48))
        >>> out = encoder(image=None, audio=torch.zeros(2, 1, 32, 48))
        >>> out.image, out.audio.shape
        (None, torch.Size([2, 6, 64]))
    """
    numbers: dict[str, Any] = {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "norm_eps": norm_eps}
    streams: dict[str, Any] = numbers | {"depth": depth, "patch": patch}
    joint: list[FusionLayer] = [JointLayer(dim, **numbers) for _ in range(joint_depth)]
    return AVEncoder(
        image=tower(dim, size=image_size, channels=3, **streams),
        audio=tower(dim, size=audio_size, channels=1, **streams),
        fusion=[None] * depth + joint + [JointNorm(dim, norm_eps=norm_eps)],
        num_tokens=0,
    )


@dataclass(frozen=True)
class CAVMAEOutput(Record):
    """Losses, the contrast's share of images whose audio is the nearest, and all predictions."""

    loss_image: Float[Tensor, ""]
    loss_audio: Float[Tensor, ""]
    loss_contrast: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]
    pred_image: Float[Tensor, "b n_v v_v"]
    pred_audio: Float[Tensor, "b n_a v_a"]

    @property
    def loss(self) -> Float[Tensor, ""]:
        """What training minimizes."""
        return self.loss_image + self.loss_audio + self.loss_contrast


torch.export.register_dataclass(CAVMAEOutput)


class CAVMAE(nn.Module):
    """CAV-MAE in pre-training: reconstruction from both modalities, contrast of each alone.

    Args:
        encoder: of `cavmae_encoder`.
        decoder: predicts the patches of both modalities.
        contrast_weight: weight of the contrastive loss, included in ``loss_contrast``.
        temperature: divisor of its similarities.
        normalize_targets: normalize each target patch.
    """

    def __init__(
        self,
        encoder: AVEncoder,
        *,
        decoder: JointDecoder,
        contrast_weight: float = 0.01,
        temperature: float = 0.05,
        normalize_targets: bool = True,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.contrast_weight, self.temperature = contrast_weight, temperature
        self.normalize_targets = normalize_targets

    def contrasted(
        self, *, image: Image, audio: Audio, image_mask: Mask | None, audio_mask: Mask | None
    ) -> tuple[AVTokens, Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """Tokens of both modalities together, and a mean feature of each alone.

        Alone they pass the last joint layer only, as in the published pre-training.
        """
        encoder, joint = self.encoder, first_joint(self.encoder)
        masks: dict[str, Any] = {"image_mask": image_mask, "audio_mask": audio_mask}
        towers = encoder.embed(image=image, audio=audio, **masks)
        for layer in range(joint):
            towers = encoder.layer(towers, layer)
        both = run_layers(encoder, towers, range(joint, encoder.depth))
        last = range(encoder.depth - 2, encoder.depth)
        v = run_layers(encoder, replace(towers, audio=None), last).image
        a = run_layers(encoder, replace(towers, image=None), last).audio
        assert v is not None and a is not None
        return both, v.mean(dim=1), a.mean(dim=1)

    def forward(
        self,
        *,
        image: Float[Tensor, "b c height width"],
        audio: Float[Tensor, "b 1 m t"],
        image_mask: Mask,
        audio_mask: Mask,
    ) -> CAVMAEOutput:
        """Losses and predictions of a batch."""
        masks: dict[str, Any] = {"image_mask": image_mask, "audio_mask": audio_mask}
        both, v, a = self.contrasted(image=image, audio=audio, **masks)
        pred_image, pred_audio = self.decoder(both, **masks)
        contrast: dict[str, Any] = {"temperature": self.temperature, "direction": "image_to_audio"}
        return CAVMAEOutput(
            loss_image=self._loss(self.encoder.image, image, pred_image, image_mask),
            loss_audio=self._loss(self.encoder.audio, audio, pred_audio, audio_mask),
            loss_contrast=self.contrast_weight * info_nce(v, a, **contrast),
            accuracy=nearest_share(v, a),
            pred_image=pred_image,
            pred_audio=pred_audio,
        )

    def _loss(
        self, stream: ViT, x: Float[Tensor, "b c p q"], pred: Float[Tensor, "b n v"], mask: Mask
    ) -> Float[Tensor, ""]:
        target = mask.masked(patchify(x, patch=stream.patch))
        return masked_mse(mask.masked(pred), target, normalize=self.normalize_targets)


class CAVMAEClassifier(nn.Module):
    """CAV-MAE fine-tuned: the mean of all tokens, a norm and a linear layer.

    Args:
        encoder: of `cavmae_encoder`.
        num_classes: number of classes.
    """

    def __init__(self, encoder: AVEncoder, *, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = layer_norm(encoder.dim, norm_eps=1e-5)
        self.linear = nn.Linear(encoder.dim, num_classes)

    def forward(
        self, *, image: Image, audio: Audio, trained_on_both: bool = False
    ) -> Float[Tensor, "b classes"]:
        """Logits from both modalities or from one.

        Args:
            image: images, ``None`` where the batch has none.
            audio: spectrograms, ``None`` where the batch has none.
            trained_on_both: for one modality, whether the model was fine-tuned on both: features
                under the norms of both and of one are then averaged.
        """
        tokens = self.encoder(image=image, audio=audio)
        given = [x for x in (tokens.image, tokens.audio) if x is not None]
        pooled = torch.cat(given, dim=1).mean(dim=1)
        if trained_on_both and len(given) == 1:
            pooled = (pooled + self._as_both(image, audio)) / 2
        return self.linear(self.norm(pooled))

    def _as_both(self, image: Image, audio: Audio) -> Float[Tensor, "b d"]:
        encoder, joint = self.encoder, first_joint(self.encoder)
        tokens = encoder.embed(image=image, audio=audio)
        tokens = run_layers(encoder, tokens, range(joint))
        x = tokens.audio if tokens.image is None else tokens.image
        assert x is not None
        for layer in encoder.fusion_blocks.values():
            assert isinstance(layer, JointLayer | JointNorm)
            x = layer.run(x, "both")
        return x.mean(dim=1)


def first_joint(encoder: AVEncoder) -> int:
    """Index of the first joint layer."""
    return min(map(int, encoder.fusion_blocks))


def run_layers(encoder: AVEncoder, tokens: AVTokens, layers: Sequence[int]) -> AVTokens:
    """Tokens after some layers of an encoder."""
    for layer in layers:
        tokens = encoder.layer(tokens, layer)
    return tokens


def nearest_share(image: Float[Tensor, "b d"], audio: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """Share of the images whose own audio is the most similar of the batch."""
    image, audio = (nn.functional.normalize(x, dim=1) for x in (image, audio))
    nearest = (image @ audio.T).argmax(dim=1)
    return (nearest == torch.arange(len(image), device=image.device)).float().mean()
