"""Sound localization head: similarity of image patches to the audio."""

from collections.abc import MutableMapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int8
from torch import Tensor, nn

from avblocks.builder import Built
from avblocks.heads.pool import mean_std_tokens, mean_tokens
from avblocks.nn.init import xavier
from avblocks.nn.older import accept_older
from avblocks.shapes import expect, require, require_above_zero, require_positive, sides


class Localizer(nn.Module):
    """Cosine similarity of each image patch to the pooled audio tokens, both projected.

    `localization_loss` trains it to separate the matched pairs of a batch from all others. Encode
    the modalities separately, ``encoder(image=image, audio=None).image`` and
    ``encoder(image=None, audio=audio).audio``: with early fusion, image tokens that have attended
    to the audio could identify their pair from any location in the image.

    All audio has some similarity to all objects. `track` estimates the average audio from training
    batches, and a call subtracts the similarity to it, so that audio without a source gives a flat
    map.

    Args:
        dim: width of a token.
        dim_out: width of the projections (EZ-VSL, ECCV 2022: 512).
        batch_norm: normalize patches and audio before the projections without learned scale
            (epsilon 1e-6), as a linear probe on frozen tokens does.
        hidden: hidden width of an MLP that projects mean and standard deviation of the audio
            tokens; 0 to project their mean linearly.

    Raises:
        ValueError: if a width is not positive, or ``hidden`` is negative.

    Example:
        >>> localize = Localizer(64, dim_out=32)
        >>> localize(image=torch.randn(2, 196, 64), audio=torch.randn(2, 96, 64)).shape
        torch.Size([2, 196])
    """

    def __init__(
        self, dim: int, *, dim_out: int = 512, batch_norm: bool = False, hidden: int = 0
    ) -> None:
        super().__init__()
        require_positive(dim=dim, dim_out=dim_out)
        require(hidden >= 0, "hidden", hidden, "0 or more")
        self.dim, self.hidden = dim, hidden
        numbers = {"dim": dim, "dim_out": dim_out, "batch_norm": batch_norm, "hidden": hidden}
        self.built = Built("Localizer", numbers)
        self.image_norm, self.audio_norm = (
            nn.BatchNorm1d(width, eps=1e-6, affine=False) if batch_norm else nn.Identity()
            for width in (dim, 2 * dim if hidden else dim)
        )
        self.image_proj = nn.Linear(dim, dim_out)
        self.audio_proj = _audio_proj(dim, hidden, dim_out) if hidden else nn.Linear(dim, dim_out)
        self.center: Tensor
        self.register_buffer("center", torch.empty(dim_out))
        self.reset_parameters()
        accept_older(self)

    def reset_parameters(self) -> None:
        """Xavier-uniform projections with zero biases, PyTorch's values in the MLP, zero average.

        The weights of the MLP should be small: with Xavier-uniform ones, training on scenes ended
        in a poor minimum in four of five runs, and with PyTorch's in none of five.
        """
        xavier(self.image_proj)
        if isinstance(self.audio_proj, nn.Linear):
            xavier(self.audio_proj)
        else:
            for layer in self.audio_proj:
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
        nn.init.zeros_(self.center)

    def rename_older(self, state: MutableMapping[str, Tensor], prefix: str) -> None:
        """Add the average audio, which localizers of avblocks until 0.1 do not have."""
        if f"{prefix}image_proj.bias" in state:
            bias = state[f"{prefix}image_proj.bias"]
            state.setdefault(f"{prefix}center", torch.zeros_like(bias))

    def forward(
        self,
        *,
        image: Float[Tensor, "b n_v d"],
        audio: Float[Tensor, "b n_a d"],
        audio_valid: Bool[Tensor, "b n_a"] | None = None,
    ) -> Float[Tensor, "b n_v"]:
        """Similarity of each patch to the audio of its clip, minus that to the average audio.

        It is in [-1, 1] if `track` has not been called.
        """
        expect(image=(image, "b n_v d"), audio=(audio, "b n_a d"), d=self.dim)
        sounds = self.embed_audio(audio, valid=audio_valid) - self.center
        return torch.einsum("bnd,bd->bn", self.embed_image(image), sounds)

    def pairs(
        self,
        *,
        image: Float[Tensor, "b n_v d"],
        audio: Float[Tensor, "b_a n_a d"],
        audio_valid: Bool[Tensor, "b_a n_a"] | None = None,
    ) -> Float[Tensor, "b b_a n_v"]:
        """Cosine similarity of each patch to each audio, of image i to audio j at ``[i, j]``."""
        sounds = self.embed_audio(audio, valid=audio_valid)
        return torch.einsum("ind,jd->ijn", self.embed_image(image), sounds)

    def embed_image(self, image: Float[Tensor, "b n_v d"]) -> Float[Tensor, "b n_v d_out"]:
        """Project the patches to unit vectors."""
        expect(image=(image, "b n_v d"), d=self.dim)
        patches = self.image_norm(image.flatten(0, 1)).unflatten(0, image.shape[:2])
        return F.normalize(self.image_proj(patches), dim=-1)

    def embed_audio(
        self, audio: Float[Tensor, "b n_a d"], *, valid: Bool[Tensor, "b n_a"] | None = None
    ) -> Float[Tensor, "b d_out"]:
        """Project the mean of the valid audio tokens, or mean and deviation, to a unit vector."""
        expect(audio=(audio, "b n_a d"), d=self.dim)
        pooled = (mean_std_tokens if self.hidden else mean_tokens)(audio, valid)
        return F.normalize(self.audio_proj(self.audio_norm(pooled)), dim=-1)

    @torch.no_grad()
    def track(
        self,
        sounds: Float[Tensor, "b d_out"],
        negatives: Float[Tensor, "m d_out"],
        *,
        momentum: float = 0.05,
    ) -> None:
        """Update the average audio by a batch.

        Args:
            sounds: embeddings of the audio of clips, from `embed_audio`.
            negatives: embeddings of audio without a source, such as silence and noise.
            momentum: weight of the batch.
        """
        average = (sounds.mean(dim=0) + negatives.mean(dim=0)) / 2
        self.center.lerp_(average.to(self.center.dtype), momentum)


def _audio_proj(dim: int, hidden: int, dim_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2 * dim, hidden), nn.GELU(), nn.Linear(hidden, dim_out))


def localization_loss(
    similarity: Float[Tensor, "b b_a n_v"],
    *,
    temperature: float = 0.03,
    relations: Int8[Tensor, "b b"] | None = None,
) -> Float[Tensor, ""]:
    r"""Multiple-instance contrastive loss over the best patch of each pair.

    With :math:`m_{ij}` the greatest similarity of a patch of image i to audio j, over the
    temperature, it is the mean over the batch and over both directions of

    .. math::
        -\log \frac{e^{m_{ii}}}{\sum_j e^{m_{ij}}} \quad\text{and}\quad
        -\log \frac{e^{m_{jj}}}{\sum_i e^{m_{ij}}}

    With ``relations``, it is the mean of these over the pairs that are alike, and the sums exclude
    undecided pairs, so that audio of the same kind is not a negative.

    Args:
        similarity: from `Localizer.pairs`, image i and audio j at ``[i, j]``. Further audio after
            that of the images, such as silence and noise, has no image and is a negative of all.
        temperature: divisor of the similarities.
        relations: whether audio i and audio j are alike (1), unlike (-1) or undecided (0), such as
            from `clip_relations`; by default each audio is alike only itself.

    Returns:
        The loss; log(b) if all similarities are equal, without further audio and relations. The
        published loss is the sum of the two directions, twice this value.

    Raises:
        ValueError: if the temperature is not above zero, or there is only one clip.

    Source: EZ-VSL (Mo and Morgado, ECCV 2022, arXiv 2203.09324), temperature included; silence and
    noise: SSL-SaN (arXiv 2508.21761); audio that is alike: SSL-Align (ICCV 2023, arXiv 2309.10724).

    Example:
        >>> localization_loss(torch.zeros(2, 2, 9))
        tensor(0.6931)
    """
    require_above_zero(temperature=temperature)
    count = len(similarity)
    require(count > 1, "similarity", count, "of at least two clips")
    require(similarity.shape[1] >= count, "similarity", similarity.shape[1], "audio for each image")
    logits = similarity.float().amax(dim=-1) / temperature
    if relations is None:
        own = torch.arange(count, device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits[:, :count].T, own)) / 2
    expect(relations=(relations, "b b"), b=count)
    known = logits[:, :count].masked_fill(relations == 0, -torch.inf)
    rows = torch.cat((known, logits[:, count:]), dim=1).log_softmax(dim=1)[:, :count]
    columns = known.log_softmax(dim=0)
    return (_mean_alike(rows, relations > 0) + _mean_alike(columns.T, relations.T > 0)) / 2


def _mean_alike(rows: Float[Tensor, "b b"], alike: Bool[Tensor, "b b"]) -> Float[Tensor, ""]:
    """Mean over rows of the mean negative log-probability of the pairs that are alike."""
    return -(rows.where(alike, 0.0).sum(dim=1) / alike.sum(dim=1)).mean()


def to_frame(
    patches: Float[Tensor, "b n_v"], *, grid: tuple[int, ...], size: int | tuple[int, ...]
) -> Float[Tensor, "b height width"]:
    """Upsample a map over patches to pixels, bilinearly between the centers of the patches.

    Args:
        patches: one value per patch, in row-major order.
        grid: patches along the height and the width, such as ``encoder.image.grid(image)``.
        size: side, or (height, width), of the frame in pixels.

    Raises:
        ValueError: if the number of patches differs from that of the grid.

    Example:
        >>> to_frame(torch.tensor([[0.0, 1.0]]), grid=(1, 2), size=(1, 4))
        tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    rows, columns = sides(grid, axes=2, name="grid")
    expect(patches=(patches, "b n_v"), n_v=rows * columns)
    maps = patches.view(-1, 1, rows, columns)
    size = sides(size, axes=2, name="size")
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)[:, 0]
