"""CrossMAE: a ViT and a decoder whose masked patches only read the encoder's layers."""

import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.checkpoint.load import Converted
from avblocks.checkpoint.read import State
from avblocks.mae import masked_mse
from avblocks.nn.block import Block
from avblocks.nn.mask import Mask
from avblocks.nn.older import split_qkv
from avblocks.nn.patch import PatchEmbed, patchify
from avblocks.nn.position import LearnedPosition, sincos_position
from avblocks.nn.vit import ViT
from avblocks.reading import ReadingDecoder
from avblocks.shapes import grid_of, require
from avblocks.tokens import Record
from avblocks.zoo.names import depth_of, heads_of


@dataclass(frozen=True)
class CrossMAEOutput(Record):
    """Loss, and predictions of patches in the order of the mask's ``to_predict``."""

    loss: Float[Tensor, ""]
    pred: Float[Tensor, "b u v"]


torch.export.register_dataclass(CrossMAEOutput)


class CrossMAE(nn.Module):
    """Masked autoencoder of images whose decoder reads mixtures of all encoder layers.

    Args:
        encoder: ViT with a class token.
        decoder: reads a mixture of as many layers as the encoder has, or of its input too.
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
        """The encoder's tokens ``[class; kept]`` before and after each block."""
        outputs = [self.encoder.embed(image, ids_keep=mask.ids_keep)]
        for block in self.encoder.blocks:
            outputs.append(block(outputs[-1]))
        return outputs

    def forward(self, image: Float[Tensor, "b c height width"], mask: Mask) -> CrossMAEOutput:
        """Loss and predictions of the patches that the mask says to predict."""
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
    """CrossMAE, its positions fixed; the encoder has no final norm, as the original has none.

    Args:
        dim: width of the encoder.
        depth: its blocks.
        num_heads: heads of each.
        size: side of the image.
        patch: side of a patch.
        decoder_dim: width of the decoder.
        decoder_depth: its blocks.
        decoder_heads: heads of each.
        use_input: mix what enters the encoder's first block, too.
        mlp_ratio: hidden width of the encoder's MLPs as a multiple of ``dim``.
        norm_eps: epsilon of the norms.
        normalize_targets: normalize each target patch.

    Example:
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
    """Sine-cosine positions that are not trained, but in the file."""
    position = LearnedPosition(dim, grid=grid)
    position.table.data.copy_(sincos_position(dim, grid))
    return position.requires_grad_(False)


def crossmae_sizes(
    state: State, *, num_heads: int | None = None, decoder_heads: int | None = None
) -> dict[str, Any]:
    """Arguments of `crossmae` for a file; heads are as wide as the published models' if not given.

    Raises:
        ValueError: if the heads are to be given, or the mixture is of some layers only.
    """
    dim, _, patch, _ = state["patch_embed.proj.weight"].shape
    depth, decoder_dim = depth_of(state), state["mask_token"].shape[-1]
    layers = state["wfm.linear.weight"].shape[1]
    require(layers in (depth, depth + 1), "mixed layers", layers, f"all {depth} or the input too")
    return {
        "dim": dim,
        "depth": depth,
        "num_heads": num_heads or heads_of(dim),
        "size": math.isqrt(state["pos_embed"].shape[1] - 1) * patch,
        "patch": patch,
        "decoder_dim": decoder_dim,
        "decoder_depth": depth_of(state, blocks="decoder_blocks."),
        "decoder_heads": decoder_heads or heads_of(2 * decoder_dim),
        "use_input": layers == depth + 1,
        "mlp_ratio": state["blocks.0.mlp.fc1.weight"].shape[0] / dim,
    }


_RENAMES = (
    (r"^decoder_pos_embed$", "decoder.pos_embed.table"),
    (r"^pos_embed$", "encoder.pos_embed.table"),
    (r"^cls_token$", "encoder.prefix_tokens"),
    (r"^dec_norms\.", "decoder.mixture.norms."),
    (r"^wfm\.", "decoder.mixture."),
    (r"^decoder_", "decoder."),
    (r"^mask_token$", "decoder.mask_token"),
    (r"^(?=patch_embed\.|blocks\.)", "encoder."),
)


def from_crossmae(state: State) -> Converted:
    """CrossMAE's names in those of `crossmae`; the class token has no position in its code."""
    kept = {}
    for name, value in state.items():
        ours = next((re.sub(old, new, name) for old, new in _RENAMES if re.match(old, name)), name)
        kept[ours] = value[0, 1:] if name.endswith("pos_embed") else value
    return Converted(split_qkv(kept))
