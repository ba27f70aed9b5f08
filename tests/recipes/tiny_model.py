"""The model that the recipes' tests train in a moment."""

from recipes.common.model import Model

TINY = Model(
    dim=16,
    depth=2,
    heads=2,
    patch=8,
    num_tokens=(2, 1, 1),
    attn_ratio=0.5,
    decoder_dim=16,
    decoder_depth=1,
    decoder_heads=2,
)
