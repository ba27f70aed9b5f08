"""`ViT`: vision transformers over patches of images, spectrograms or video."""

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from avblocks.builder import builder
from avblocks.nn.block import Block
from avblocks.nn.init import normal
from avblocks.nn.norm import layer_norm
from avblocks.nn.patch import PatchEmbed
from avblocks.nn.patch_conv import ConvPatchEmbed
from avblocks.nn.position import LearnedPosition, SinCosPosition, place_positions
from avblocks.nn.stream import layers_of, require_width
from avblocks.shapes import (
    as_dtype,
    expect,
    given,
    grid_of,
    require,
    require_choice,
    require_positive,
    sides,
)


class ViT(nn.Module):
    """Patch embedding, positions, prefix tokens, blocks and a final norm: a `Stream`.

    Prefix tokens, such as a class token and registers, come before the patch tokens in all blocks.
    They are never masked, and are not part of grids and maps.

    Args:
        patch_embed: a `PatchEmbed`, or a module with its ``dim``, ``patch``, ``channels`` and
            ``grid``.
        pos_embed: module from a grid to its positions.
        blocks: transformer blocks of one width.
        norm: final norm.
        prefix_tokens: number of prefix tokens.
        norm_pre: norm before the blocks, for post-norm blocks; none by default.

    Raises:
        ValueError: if there are no blocks, or a part has another width or lacks an attribute.

    Example:
        >>> import torch
        >>> vit(192, depth=1, num_heads=3, size=32)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 4, 192])
    """

    def __init__(
        self,
        *,
        patch_embed: nn.Module,
        pos_embed: nn.Module,
        blocks: Sequence[nn.Module],
        norm: nn.Module,
        prefix_tokens: int = 0,
        norm_pre: nn.Module | None = None,
    ) -> None:
        super().__init__()
        require(len(blocks) > 0, "blocks", len(blocks), "at least one block")
        for part in ("dim", "patch", "channels", "grid"):
            has = type(patch_embed).__name__
            require(hasattr(patch_embed, part), "patch_embed", has, f"a module with `{part}`")
        self.dim, self.patch, self.channels = _sizes(patch_embed)
        axes, usual = len(self.patch), getattr(pos_embed, "grid", None)
        fits = isinstance(usual, tuple) and len(usual) == axes
        require(fits, "pos_embed", usual, f"a grid of {axes} axes")
        parts: dict[str, Any] = {f"blocks[{i}]": block for i, block in enumerate(blocks)}
        parts |= {"pos_embed": pos_embed, "norm": norm, "norm_pre": norm_pre}
        for name, part in parts.items():
            require_width(name, part, self.dim)
        require(prefix_tokens >= 0, "prefix_tokens", prefix_tokens, "0 or more")
        self.stride = getattr(patch_embed, "stride", self.patch)
        self.num_prefix = prefix_tokens
        self.patch_embed, self.pos_embed = patch_embed, pos_embed
        self.norm_pre = norm_pre
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.prefix_tokens = (
            nn.Parameter(torch.empty(1, prefix_tokens, self.dim)) if prefix_tokens else None
        )
        self.reset_parameters()
        self.register_load_state_dict_pre_hook(place_positions)

    def reset_parameters(self) -> None:
        """Draw the prefix tokens, including their positions, with a standard deviation of 0.02."""
        if self.prefix_tokens is not None:
            normal(self.prefix_tokens)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    def param_layers(self) -> dict[str, int]:
        """Layer of each parameter by name, for layer-wise learning rates."""
        layers = layers_of(self, top=self.depth + 1)
        return {name: layers[id(p)] for name, p in self.named_parameters()}

    @property
    def usual_grid(self) -> tuple[int, ...]:
        """Patches along each axis of an input of the usual size."""
        return cast(Any, self.pos_embed).grid

    @property
    def reads_across(self) -> bool:
        """Whether the embedding of a patch also reads other patches, as `ConvPatchEmbed` does."""
        return getattr(self.patch_embed, "reads_across", False)

    def grid(self, x: Float[Tensor, "b c *size"]) -> tuple[int, ...]:
        """Patches along each axis of an input."""
        return cast(Any, self.patch_embed).grid(x)

    def embed(
        self,
        x: Float[Tensor, "b c *size"],
        *,
        ids_keep: Int64[Tensor, "b k"] | None = None,
        valid: Bool[Tensor, "b n_all"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Prefix tokens, then all patch tokens or only those in ``ids_keep``, with positions.

        ``valid`` is False at padded patches, which a patch embedding may read for its other tokens.
        """
        parts: tuple[Any, ...] = (self.patch_embed, self)
        floats = (p.dtype for part in parts for p in part.parameters() if p.is_floating_point())
        dtype = next(floats, torch.get_default_dtype())  # of quantized layers, that of the others
        x = as_dtype(dtype, input=x)
        # Fixed positions keep theirs where FSDP casts the weights, or the default is another.
        position = self.pos_embed(self.grid(x)).to(dtype)
        expect(position=(position, "n d"), n=math.prod(self.grid(x)), d=self.dim)
        padded = given(valid=valid) if self.reads_across else {}
        tokens = self.patch_embed(x, **padded, **given(ids_keep=ids_keep))
        tokens = tokens + (position if ids_keep is None else position[ids_keep])
        if self.prefix_tokens is not None:
            prefix = self.prefix_tokens.expand(tokens.shape[0], -1, -1)
            tokens = torch.cat((prefix, tokens), dim=1)
        return tokens if self.norm_pre is None else self.norm_pre(tokens)

    def forward(
        self, x: Float[Tensor, "b c *size"], *, ids_keep: Int64[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Tokens after all blocks and the final norm, with the prefix tokens first.

        Raises:
            ValueError: if a side of the input is not a multiple of the patch.
        """
        tokens = self.embed(x, ids_keep=ids_keep)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def _sizes(patch_embed: Any) -> tuple[int, tuple[int, ...], int]:
    return patch_embed.dim, tuple(patch_embed.patch), patch_embed.channels


PatchEmbedName = Literal["linear", "conv"]
_EMBEDS: dict[str, type[PatchEmbed] | type[ConvPatchEmbed]] = {
    "linear": PatchEmbed,
    "conv": ConvPatchEmbed,
}


@builder
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
    prefix_tokens: int = 0,
    patch_embed: PatchEmbedName = "linear",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ViT:
    """Build a ViT of any size, with MAE's initialization.

    Args:
        dim: width of a token.
        depth: number of blocks.
        num_heads: heads of each block.
        size: default input size: one side, (height, width), (mels, frames) or (time, height,
            width).
        patch: sides of a patch; three for a video ViT.
        channels: channels of the input, 1 for a spectrogram.
        mlp_ratio: hidden width of the MLPs as a multiple of ``dim``.
        drop_path: stochastic depth, the same rate in each block as in the reference.
        norm_eps: epsilon of the norms.
        learned_position: use a learned table instead of fixed sine-cosine positions.
        prefix_tokens: number of prefix tokens, such as a class token and registers.
        patch_embed: one linear map of a patch, or `ConvPatchEmbed`.
        device: device of the weights.
        dtype: data type of the weights.

    Raises:
        ValueError: if a number is out of range, the size not a multiple of the patch, or the name
            of the patch embedding unknown.

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
    require_choice(*_EMBEDS, patch_embed=patch_embed)
    position = LearnedPosition if learned_position else SinCosPosition
    blocks = [
        Block(dim, num_heads=num_heads, mlp_ratio=mlp_ratio, drop_path=drop_path, norm_eps=norm_eps)
        for _ in range(depth)
    ]
    return ViT(
        patch_embed=_EMBEDS[patch_embed](dim, patch=patch, channels=channels),
        pos_embed=position(dim, grid=grid),
        blocks=blocks,
        norm=layer_norm(dim, norm_eps=norm_eps),
        prefix_tokens=prefix_tokens,
    )
