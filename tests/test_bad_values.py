"""Every public constructor and builder refuses impossible numbers, naming the argument."""

import inspect
from collections.abc import Callable
from functools import partial

import pytest

from avblocks import (
    Aggregator,
    Attention,
    BandMask,
    Block,
    BlockMask,
    CrossAttention,
    Decoder,
    DenseFusion,
    DropPath,
    FactorizedFusion,
    FusionBlock,
    LearnedPosition,
    Mlp,
    PatchEmbed,
    RandomMask,
    SinCosPosition,
    TokenFusion,
    av_mae,
    av_vit,
    fusion_block,
    vit,
)
from avblocks.audio import LogMel
from avblocks.optim import cosine_lr, param_groups, pretrained_multiplier, scaled_lr

NAN, INF = float("nan"), float("inf")
RATIO = [0.0, -1.0, 0.1, NAN, INF]
SHARE = [-0.1, 1.0, NAN]
EPS = [0.0, -1e-5, NAN]
GRID = [(0, 2), (2,), (2, -2)]
DIM = {"dim": [0, -8, 8.0]}
WIDTH = DIM | {"num_heads": [0, -2, 3, 2.0]}
BLOCK = {"mlp_ratio": RATIO, "drop_path": SHARE}
FUSE = {"attn_ratio": RATIO, "num_tokens": [(0, 1, 1), (1, -1, 4), (2, 2), (1.0, 1, 1), 8]}

wide = {"dim": 8, "num_heads": 2}
sizes = {"image_size": 8, "audio_size": (8, 8)}
av = partial(av_vit, **wide, **sizes, depth=2, patch=4)

# A call that is possible as it stands, and for each argument the values that are not.
TABLE: list[tuple[partial, dict[str, list]]] = [
    (partial(Attention, **wide), WIDTH),
    (partial(CrossAttention, **wide), WIDTH | {"attn_ratio": RATIO}),
    (partial(Mlp, dim=8), DIM | {"ratio": RATIO}),
    (partial(Block, **wide), WIDTH | BLOCK | {"norm_eps": EPS}),
    (partial(DropPath), {"rate": SHARE}),
    (
        partial(PatchEmbed, dim=8),
        DIM | {"patch": [(0, 4), (4,), (1, 1, 1, 1), (-4, 4), 8], "channels": [0, -3]},
    ),
    (partial(SinCosPosition, dim=8, grid=(2, 2)), {"dim": [0, -8, 6], "grid": GRID}),
    (partial(LearnedPosition, dim=8, grid=(2, 2)), DIM | {"grid": GRID}),
    (partial(RandomMask, ratio=0.5), {"ratio": [0.0, 1.0, -0.5, 1.5, NAN]}),
    (partial(BandMask, ratio=0.5, axis="time"), {"ratio": [0.0, 1.0, NAN], "axis": ["rows"]}),
    (partial(BlockMask, ratio=0.5), {"ratio": [0.0, 1.0, NAN], "block": [0, -1]}),
    (
        partial(vit, **wide, depth=2, size=8, patch=4),
        WIDTH
        | BLOCK
        | {"depth": [0, -1], "size": [0, 9, (8, 9), (8, 8, 8), 8.0], "patch": [0, (4, 0), (4,)]}
        | {"channels": [0], "norm_eps": EPS},
    ),
    (partial(Aggregator, **wide), WIDTH),
    (partial(TokenFusion, **wide), WIDTH | {"attn_ratio": RATIO}),
    (partial(DenseFusion, **wide), WIDTH | {"attn_ratio": RATIO, "value_ratio": RATIO}),
    (partial(FactorizedFusion, **wide), WIDTH | FUSE),
    (
        partial(FusionBlock, dim=8, interaction=TokenFusion(8, num_heads=2)),
        DIM | BLOCK | {"norm_eps": EPS},
    ),
    (partial(fusion_block, **wide), WIDTH | BLOCK | FUSE | {"fusion": ["sum"]}),
    (
        partial(Decoder, 8, **wide, grid=(2, 2), patch_values=4),
        WIDTH | {"patch_values": [0], "depth": [0, -1], "grid": GRID, "norm_eps": EPS},
    ),
    (partial(Decoder, encoder_dim=8, grid=(2, 2), patch_values=4), {"encoder_dim": [0, -8]}),
    (
        av,
        WIDTH
        | BLOCK
        | FUSE
        | {"depth": [0, (2, 0), (2,), (1, 2, 3)], "patch": [0, -4]}
        | {"image_size": [9, 0, (8, 9)], "audio_size": [(8, 9), (0, 8)]}
        | {"fusion": ["sum"], "fusion_layers": ["some", [2], [-1], [0.5], [1, 1], 1]},
    ),
    # What no layer would use is refused all the same.
    (
        partial(av, fusion="token", fusion_layers="none"),
        {"fusion": ["sum"], "num_tokens": FUSE["num_tokens"]},
    ),
    (partial(av_mae, av(), **wide), WIDTH | {"depth": [0]}),
    (partial(LogMel), {"rate": [0], "n_fft": [0], "hop": [0, -1], "n_mels": [0, 1.5]}),
    (
        partial(cosine_lr, 0.0, lr=1.0, epochs=10, warmup=2),
        {"warmup": [-1, 10, NAN], "epochs": [0, -1, NAN]},
    ),
    (partial(pretrained_multiplier, 0.0, epochs=10), {"epochs": [0, -1, NAN]}),
    (partial(scaled_lr, 1.0, batch=8), {"batch": [0, -1]}),
    (partial(param_groups, DropPath()), {"weight_decay": [-0.1, NAN]}),
]
# The inner module's word for the argument, close enough to be understood.
INNER = {
    "mlp_ratio": "ratio",
    "drop_path": "rate",
    "image_size": "(image_)?size",
    "audio_size": "size",
}

CASES = [
    pytest.param(build, name, value, id=f"{build.func.__name__}-{name}-{value}")
    for build, refused in TABLE
    for name, values in refused.items()
    for value in values
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("build", "name", "value"), CASES)
def test_impossible_numbers(build: Callable, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"\b{INNER.get(name, name)} must be .*, got"):
        build(**{name: value})


@pytest.mark.parametrize("build", [build for build, _ in TABLE], ids=lambda b: b.func.__name__)
def test_the_calls_are_possible_as_they_stand(build: Callable) -> None:
    made = build()
    assert made is not None
    if inspect.isclass(build.func):
        assert type(made) is build.func
