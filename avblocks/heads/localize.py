"""Sound localization head: similarity of image patches to the audio."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avblocks.builder import Built
from avblocks.heads.pool import mean_tokens
from avblocks.nn.init import xavier
from avblocks.shapes import expect, require, require_above_zero, require_positive, sides


class Localizer(nn.Module):
    """Cosine similarity of each image patch to the mean of the audio tokens, both projected.

    `localization_loss` trains it to separate the matched pairs of a batch from all others. Encode
    the modalities separately, ``encoder(image=image, audio=None).image`` and
    ``encoder(image=None, audio=audio).audio``: with early fusion, image tokens that have attended
    to the audio could identify their pair from any location in the image.

    Args:
        dim: width of a token.
        dim_out: width of the projections (EZ-VSL, ECCV 2022: 512).
        batch_norm: normalize patches and audio before the projections without learned scale
            (epsilon 1e-6), as a linear probe on frozen tokens does.

    Raises:
        ValueError: if a width is not positive.

    Example:
        >>> localize = Localizer(64, dim_out=32)
        >>> localize(image=torch.randn(2, 196, 64), audio=torch.randn(2, 96, 64)).shape
        torch.Size([2, 196])
    """

    def __init__(self, dim: int, *, dim_out: int = 512, batch_norm: bool = False) -> None:
        super().__init__()
        require_positive(dim=dim, dim_out=dim_out)
        self.dim = dim
        numbers = {"dim": dim, "dim_out": dim_out, "batch_norm": batch_norm}
        self.built = Built("Localizer", numbers)
        self.image_norm, self.audio_norm = (
            nn.BatchNorm1d(dim, eps=1e-6, affine=False) if batch_norm else nn.Identity()
            for _ in range(2)
        )
        self.image_proj = nn.Linear(dim, dim_out)
        self.audio_proj = nn.Linear(dim, dim_out)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, zero biases."""
        xavier(self.image_proj, self.audio_proj)

    def forward(
        self,
        *,
        image: Float[Tensor, "b n_v d"],
        audio: Float[Tensor, "b n_a d"],
        audio_valid: Bool[Tensor, "b n_a"] | None = None,
    ) -> Float[Tensor, "b n_v"]:
        """Similarity, in [-1, 1], of each patch to the audio of its clip."""
        patches, sounds = self._project(image, audio, audio_valid)
        return torch.einsum("bnd,bd->bn", patches, sounds)

    def pairs(
        self,
        *,
        image: Float[Tensor, "b n_v d"],
        audio: Float[Tensor, "b n_a d"],
        audio_valid: Bool[Tensor, "b n_a"] | None = None,
    ) -> Float[Tensor, "b b n_v"]:
        """Similarity of each patch to each audio, of image i to audio j at ``[i, j]``."""
        patches, sounds = self._project(image, audio, audio_valid)
        return torch.einsum("ind,jd->ijn", patches, sounds)

    def _project(
        self,
        image: Float[Tensor, "b n_v d"],
        audio: Float[Tensor, "b n_a d"],
        valid: Bool[Tensor, "b n_a"] | None,
    ) -> tuple[Float[Tensor, "b n_v d_out"], Float[Tensor, "b d_out"]]:
        expect(image=(image, "b n_v d"), audio=(audio, "b n_a d"), d=self.dim)
        patches = self.image_norm(image.flatten(0, 1)).unflatten(0, image.shape[:2])
        pooled = self.audio_norm(mean_tokens(audio, valid))
        return (
            F.normalize(self.image_proj(patches), dim=-1),
            F.normalize(self.audio_proj(pooled), dim=-1),
        )


def localization_loss(
    similarity: Float[Tensor, "b b n_v"], *, temperature: float = 0.03
) -> Float[Tensor, ""]:
    r"""Multiple-instance contrastive loss over the best patch of each pair.

    With :math:`m_{ij}` the greatest similarity of a patch of image i to audio j, over the
    temperature, it is the mean over the batch and over both directions of

    .. math::
        -\log \frac{e^{m_{ii}}}{\sum_j e^{m_{ij}}} \quad\text{and}\quad
        -\log \frac{e^{m_{jj}}}{\sum_i e^{m_{ij}}}

    Args:
        similarity: from `Localizer.pairs`, image i and audio j at ``[i, j]``.
        temperature: divisor of the similarities.

    Returns:
        The loss; log(b) if all similarities are equal. The published loss is the sum of the two
        directions, twice this value.

    Raises:
        ValueError: if the temperature is not above zero or there is only one clip.

    Source: EZ-VSL (Mo and Morgado, ECCV 2022, arXiv 2203.09324), temperature included.

    Example:
        >>> localization_loss(torch.zeros(2, 2, 9))
        tensor(0.6931)
    """
    require_above_zero(temperature=temperature)
    count = len(similarity)
    require(count > 1, "similarity", count, "of at least two clips")
    expect(similarity=(similarity, "b b n_v"))
    logits = similarity.float().amax(dim=-1) / temperature
    own = torch.arange(count, device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


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
