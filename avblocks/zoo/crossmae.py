"""CrossMAE: a ViT and a decoder whose masked patches cross-attend to the encoder layers."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from avblocks.nn.block import Block
from avblocks.nn.mask import Mask
from avblocks.nn.patch import PatchEmbed, patchify
from avblocks.nn.position import LearnedPosition
from avblocks.nn.sincos import sincos_position
from avblocks.nn.targets import masked_mse
from avblocks.nn.vit import ViT
from avblocks.reading import ReadingDecoder
from avblocks.shapes import grid_of
from avblocks.tokens import Record, exportable


@dataclass(frozen=True)
class CrossMAEOutput(Record):
    """Loss, and predictions of patches in the order of the mask's ``to_predict``."""

    loss: Float[Tensor, ""]
    pred: Float[Tensor, "b u v"]


exportable(CrossMAEOutput)


class CrossMAE(nn.Module):
    """Masked autoencoder of images whose decoder reads mixtures of all encoder layers.

    Args:
        encoder: ViT with a class token.
        decoder: decoder that reads mixtures of all encoder layers, with or without its input.
        normalize_targets: normalize each target patch.

    Source: CrossMAE (TMLR 2025, arXiv 2401.14391), ``TonyLianLong/CrossMAE``.
    """

    def __init__(
        self, encoder: ViT, *, decoder: ReadingDecoder, normalize_targets: bool = True
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.normalize_targets = normalize_targets

    def layers(
        self, image: Float[Tensor, "b c height width"], mask: Mask
    ) -> list[Float[Tensor, "b n d"]]:
        """Encoder tokens ``[class; kept]`` before and after each block."""
        outputs = [self.encoder.embed(image, ids_keep=mask.ids_keep)]
        for block in self.encoder.blocks:
            outputs.append(block(outputs[-1]))
        return outputs

    def forward(self, image: Float[Tensor, "b c height width"], mask: Mask) -> CrossMAEOutput:
        """Compute loss and predictions of the patches to predict in the mask."""
        layers, prefix = self.layers(image, mask), self.encoder.num_prefix
        assert self.decoder.mixture is not None
        read = layers[-self.decoder.mixture.linear.in_features :]
        final, grid = layers[-1], self.encoder.grid(image)
        first: dict[str, Any] = {"fusion": final[:, :prefix], "mask": mask, "grid": grid}
        pred = self.decoder(final[:, prefix:], layers=read, **first)
        target = mask.predicted(patchify(image, patch=self.encoder.patch))
        return CrossMAEOutput(masked_mse(pred, target, normalize=self.normalize_targets), pred)


def crossmae(
    dim: int = 768,
    *,
    depth: int = 12,
    num_heads: int = 12,
    size: int = 224,
    patch: int = 16,
    decoder_dim: int = 512,
    decoder_depth: int = 12,
    decoder_heads: int = 16,
    use_input: bool = True,
    mlp_ratio: float = 4.0,
    norm_eps: float = 1e-6,
    normalize_targets: bool = True,
) -> CrossMAE:
    """Build CrossMAE with fixed positions; like the original, the encoder has no final norm.

    Args:
        dim: width of the encoder.
        depth: blocks of the encoder.
        num_heads: heads of each encoder block.
        size: side of the image.
        patch: side of a patch.
        decoder_dim: width of the decoder.
        decoder_depth: blocks of the decoder.
        decoder_heads: heads of each decoder block.
        use_input: include the input of the first encoder block in the mixtures.
        mlp_ratio: hidden width of the encoder's MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms.
        normalize_targets: normalize each target patch.

    Example:
        >>> import torch
        >>> model = crossmae(64, depth=2, num_heads=4, size=32, decoder_dim=32, decoder_depth=1)
        >>> mask = Mask(torch.tensor([[0]]), torch.tensor([[1, 2, 3]]))
        >>> model(torch.rand(1, 3, 32, 32), mask).pred.shape
        torch.Size([1, 3, 768])
    """
    grid = grid_of((size, size), (patch, patch))
    numbers: dict[str, Any] = {"norm_eps": norm_eps}
    encoder = ViT(
        patch_embed=PatchEmbed(dim, patch=(patch, patch)),
        pos_embed=_fixed(dim, grid),
        blocks=[
            Block(dim, num_heads=num_heads, mlp_ratio=mlp_ratio, **numbers) for _ in range(depth)
        ],
        norm=nn.Identity(),
        prefix_tokens=1,
    )
    decoder = ReadingDecoder(
        dim,
        grid=grid,
        patch_values=3 * patch**2,
        dim=decoder_dim,
        depth=decoder_depth,
        num_heads=decoder_heads,
        num_layers=depth + use_input,
        pos_embed=_fixed(decoder_dim, grid),
        **numbers,
    )
    return CrossMAE(encoder, decoder=decoder, normalize_targets=normalize_targets)


def _fixed(dim: int, grid: tuple[int, ...]) -> LearnedPosition:
    """Build sine-cosine positions that are in the file but not trained."""
    position = LearnedPosition(dim, grid=grid)
    position.table.data.copy_(sincos_position(dim, grid))
    return position.requires_grad_(False)
