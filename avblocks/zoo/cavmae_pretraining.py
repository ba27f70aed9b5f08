"""Pre-training of CAV-MAE: reconstruction from both modalities, contrast of single modalities."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.encoder import Audio, AVEncoder, Image
from avblocks.heads.contrast import info_nce
from avblocks.nn.mask import Mask
from avblocks.nn.patch import patchify
from avblocks.nn.targets import masked_mse
from avblocks.nn.vit import ViT
from avblocks.shapes import require_above_zero, require_weight
from avblocks.tokens import AVTokens, Record, exportable
from avblocks.zoo.cavmae import first_joint, run_layers
from avblocks.zoo.joint_decoder import JointDecoder


@dataclass(frozen=True)
class CAVMAEOutput(Record):
    """Losses, share of images whose audio is the nearest, and predictions of the masked patches."""

    loss_image: Float[Tensor, ""]
    loss_audio: Float[Tensor, ""]
    loss_contrast: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]
    pred_image: Float[Tensor, "b u_v v_v"]
    pred_audio: Float[Tensor, "b u_a v_a"]

    @property
    def loss(self) -> Float[Tensor, ""]:
        """Training loss."""
        return self.loss_image + self.loss_audio + self.loss_contrast


exportable(CAVMAEOutput)


class CAVMAE(nn.Module):
    """CAV-MAE in pre-training: reconstruction from both modalities, contrast of each alone.

    Args:
        encoder: encoder from `cavmae_encoder`.
        decoder: predicts the patches of both modalities.
        contrast_weight: weight of the contrastive loss, included in ``loss_contrast``.
        temperature: divisor of its similarities.
        normalize_targets: normalize each target patch.

    Raises:
        ValueError: if a number is out of range.
    """

    predict = 1.0
    """Share of the masked patches that is predicted: the decoder runs over all of them."""

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
        require_weight(contrast_weight=contrast_weight)
        require_above_zero(temperature=temperature)
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
        whole = self.decoder(both, **masks)
        pred_image, pred_audio = image_mask.masked(whole[0]), audio_mask.masked(whole[1])
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
        self, stream: ViT, x: Float[Tensor, "b c p q"], pred: Float[Tensor, "b u v"], mask: Mask
    ) -> Float[Tensor, ""]:
        target = mask.masked(patchify(x, patch=stream.patch))
        return masked_mse(pred, target, normalize=self.normalize_targets)


def nearest_share(image: Float[Tensor, "b d"], audio: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """Share of the images whose matched audio is the most similar of the batch."""
    image, audio = (nn.functional.normalize(x, dim=1) for x in (image, audio))
    nearest = (image @ audio.T).argmax(dim=1)
    return (nearest == torch.arange(len(image), device=image.device)).float().mean()


def cavmae_mae(
    encoder: AVEncoder,
    *,
    dim: int = 512,
    depth: int = 8,
    num_heads: int = 16,
    contrast_weight: float = 0.01,
    temperature: float = 0.05,
    normalize_targets: bool = True,
) -> CAVMAE:
    """Build CAV-MAE's pre-training model around an encoder, whose positions are then not trained.

    Args:
        encoder: encoder from `cavmae_encoder`.
        dim: width of the decoder.
        depth: blocks of the decoder.
        num_heads: heads of each decoder block.
        contrast_weight: weight of the contrastive loss.
        temperature: divisor of the similarities in the contrastive loss.
        normalize_targets: normalize each target patch.
    """
    decoder = JointDecoder(
        encoder.dim,
        image_grid=encoder.image.usual_grid,
        audio_grid=encoder.audio.usual_grid,
        patch=encoder.image.patch[0],
        dim=dim,
        depth=depth,
        num_heads=num_heads,
    )
    for name, parameter in [*encoder.named_parameters(), *decoder.named_parameters()]:
        parameter.requires_grad_(not name.endswith("position.table"))
    numbers: dict[str, Any] = {"contrast_weight": contrast_weight, "temperature": temperature}
    return CAVMAE(encoder, decoder=decoder, normalize_targets=normalize_targets, **numbers)
