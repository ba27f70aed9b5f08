"""Vision transformers over patches of images, spectrograms or video, and their usual sizes."""

from collections.abc import Sequence
from functools import partial

from jaxtyping import Float, Int64
from torch import Tensor, nn

from avblocks.nn.block import Block
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.position import LearnedPosition, SinCosPosition
from avblocks.shapes import grid_of, require, require_positive, sides


class ViT(nn.Module):
    """Patch embedding, positions, blocks and a final norm; no class token.

    Args:
        patch_embed: patches to tokens.
        pos_embed: grid to positions.
        blocks: transformer blocks of one width.
        norm: final norm.

    Raises:
        ValueError: if there is no block or a part is of another width.

    Example:
        >>> import torch
        >>> vit_tiny(size=32)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 4, 192])
    """

    def __init__(
        self,
        *,
        patch_embed: PatchEmbed,
        pos_embed: SinCosPosition | LearnedPosition,
        blocks: Sequence[Block],
        norm: nn.LayerNorm,
    ) -> None:
        super().__init__()
        require(len(blocks) > 0, "blocks", len(blocks), "at least one block")
        dim = patch_embed.proj.out_channels
        axes = len(patch_embed.patch)
        require(len(pos_embed.grid) == axes, "pos_embed", pos_embed.grid, f"a grid of {axes} axes")
        widths = {f"blocks[{number}]": block.attn.dim for number, block in enumerate(blocks)}
        widths |= {"pos_embed": pos_embed.table.shape[-1], "norm": norm.normalized_shape[0]}
        for name, width in widths.items():
            require(width == dim, name, width, f"as wide as the other parts' {dim}")
        self.patch_embed, self.pos_embed = patch_embed, pos_embed
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    @property
    def dim(self) -> int:
        """Width of a token."""
        return self.patch_embed.proj.out_channels

    @property
    def patch(self) -> tuple[int, ...]:
        """Sides of a patch."""
        return self.patch_embed.patch

    def grid(self, x: Float[Tensor, "b c *size"]) -> tuple[int, ...]:
        """Patches along each axis of an input."""
        return self.patch_embed.grid(x)

    def embed(
        self, x: Float[Tensor, "b c *size"], *, ids_keep: Int64[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Tokens of all patches, or of those in ``ids_keep`` alone, with their positions."""
        position = self.pos_embed(self.grid(x))
        tokens = self.patch_embed(x, ids_keep=ids_keep)
        return tokens + (position if ids_keep is None else position[ids_keep])

    def forward(
        self, x: Float[Tensor, "b c *size"], *, ids_keep: Int64[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Tokens after all blocks and the final norm.

        Raises:
            ValueError: if a side of the input is not a multiple of the patch's.
        """
        tokens = self.embed(x, ids_keep=ids_keep)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def vit(
    dim: int,
    *,
    depth: int,
    num_heads: int,
    size: int | tuple[int, ...] = 224,
    patch: int | tuple[int, ...] = 16,
    channels: int = 3,
    mlp_ratio: float = 4.0,
    drop_path: float = 0.0,
    norm_eps: float = 1e-6,
    learned_position: bool = False,
) -> ViT:
    """A ViT of any size, with MAE's initialization.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: usual input size: one side, (height, width), (mels, frames) or (time, height, width).
        patch: sides of a patch; three make a video ViT.
        channels: channels of the input, 1 for a spectrogram.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        drop_path: stochastic depth, the same rate in each block as in the reference.
        norm_eps: epsilon of the norms.
        learned_position: a learned table instead of fixed sine-cosine positions.

    Raises:
        ValueError: if a number is impossible or the size not a multiple of the patch.

    Example:
        >>> import torch
        >>> tubes = vit(64, depth=1, num_heads=4, size=(4, 32, 32), patch=(2, 16, 16))
        >>> tubes(torch.zeros(1, 3, 4, 32, 32)).shape
        torch.Size([1, 8, 64])
    """
    require_positive(dim=dim, depth=depth)
    axes = 3 if not isinstance(patch, int) and len(patch) == 3 else 2
    patch = sides(patch, axes=axes, name="patch")
    grid = grid_of(sides(size, axes=axes, name="size"), patch)
    position = LearnedPosition if learned_position else SinCosPosition
    blocks = [
        Block(dim, num_heads=num_heads, mlp_ratio=mlp_ratio, drop_path=drop_path, norm_eps=norm_eps)
        for _ in range(depth)
    ]
    return ViT(
        patch_embed=PatchEmbed(dim, patch=patch, channels=channels),
        pos_embed=position(dim, grid=grid),
        blocks=blocks,
        norm=layer_norm(dim, norm_eps=norm_eps),
    )


vit_tiny = partial(vit, 192, depth=12, num_heads=3)
"""ViT-Ti/16 (DeiT): width 192, 12 blocks, 3 heads; takes the other arguments of `vit`."""

vit_small = partial(vit, 384, depth=12, num_heads=6)
"""ViT-S/16 (DeiT): width 384, 12 blocks, 6 heads; takes the other arguments of `vit`."""

vit_base = partial(vit, 768, depth=12, num_heads=12)
"""ViT-B/16, the paper's: width 768, 12 blocks, 12 heads; takes the other arguments of `vit`."""

vit_large = partial(vit, 1024, depth=24, num_heads=16)
"""ViT-L/16 (MAE): width 1024, 24 blocks, 16 heads; takes the other arguments of `vit`."""

vit_huge = partial(vit, 1280, depth=32, num_heads=16, patch=14)
"""ViT-H/14 (MAE): width 1280, 32 blocks, 16 heads; takes the other arguments of `vit`."""
