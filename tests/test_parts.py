"""Other people's parts: stems, norms, MLPs, streams, fusions that write back."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import slow
import torch
from public_models import DIM, Bottleneck, clips, encoder, masked
from slow import randomize
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks import (
    AVMAE,
    Attention,
    AVEncoder,
    AVTokens,
    Block,
    FusionBlock,
    FusionLayer,
    LayerScale,
    Mask,
    Mlp,
    PatchEmbed,
    SinCosPosition,
    SwiGLU,
    TokenFusion,
    ViT,
    av_mae,
    av_vit,
    vit,
)
from avblocks.checkpoint import save_pretrained
from avblocks.diagram import architecture
from avblocks.flops import encoder_flops
from avblocks.heads import fusion_map
from avblocks.nn import gather_tokens
from avblocks.optim import layer_decay_groups


def test_block_of_given_parts_is_the_formula() -> None:
    parts = {"norm1": nn.RMSNorm(8), "norm2": nn.RMSNorm(8), "mlp": SwiGLU(8, ratio=2)}
    scales = {"ls1": LayerScale(8), "ls2": LayerScale(8)}
    qk = {"q_norm": nn.LayerNorm(4), "k_norm": nn.LayerNorm(4)}
    block = randomize(Block(8, attn=Attention(8, num_heads=2, **qk), **parts, **scales))
    x = torch.randn(2, 5, 8, dtype=torch.float64)

    def rms(norm: nn.RMSNorm, x: Tensor) -> Tensor:
        return (
            x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt() * norm.weight
        )

    def heads(norm: nn.LayerNorm, x: Tensor) -> Tensor:
        return torch.cat([slow.layer_norm(norm, part) for part in x.chunk(2, dim=-1)], dim=-1)

    attn, normed = block.attn, rms(block.norm1, x)
    k, v = slow.linear(attn.kv, normed).chunk(2, dim=-1)
    q, k = heads(attn.q_norm, slow.linear(attn.q, normed)), heads(attn.k_norm, k)
    read = slow.linear(attn.proj, slow.attention(q, k, v, heads=2, scale=0.5))
    y = x + read * block.ls1.gamma
    normed, mlp = rms(block.norm2, y), block.mlp
    gate = slow.linear(mlp.fc1_g, normed)
    hidden = gate * torch.sigmoid(gate) * slow.linear(mlp.fc1_x, normed)
    assert_close(block(x), y + slow.linear(mlp.fc2, hidden) * block.ls2.gamma)


def test_post_norm() -> None:
    block = randomize(Block(8, num_heads=2, post_norm=True, mlp=Mlp(8, act=nn.GELU("tanh"))))
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    y = slow.layer_norm(block.norm1, x + slow.self_attention(block.attn, x))
    hidden = slow.linear(block.mlp.fc1, y)
    cube = math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)
    out = slow.linear(block.mlp.fc2, 0.5 * hidden * (1 + torch.tanh(cube)))
    assert_close(block(x), slow.layer_norm(block.norm2, y + out))


def test_blocks_may_share_parts() -> None:
    attn, mlp = Attention(8, num_heads=2), Mlp(8)
    blocks = nn.ModuleList(Block(8, attn=attn, mlp=mlp) for _ in range(3))
    own = sum(p.numel() for p in nn.ModuleList([attn, mlp]).parameters())
    assert sum(p.numel() for p in blocks.parameters()) == own + 3 * 2 * 2 * 8


def test_usual_parts_need_heads() -> None:
    with pytest.raises(ValueError, match="num_heads must be given where no attn is, got None"):
        Block(8)


def test_overlapping_patches_are_the_convolution() -> None:
    embed = PatchEmbed(5, patch=(4, 4), stride=(3, 2), channels=1).double()
    x = torch.randn(2, 1, 11, 8, dtype=torch.float64)
    wanted = nn.functional.conv2d(x, embed.proj.weight, embed.proj.bias, stride=(3, 2))
    assert embed.grid(x) == wanted.shape[2:] == (3, 3)
    assert_close(embed(x), wanted.flatten(2).transpose(1, 2))
    ids = torch.tensor([[0, 5], [8, 1]])
    assert_close(embed(x, ids_keep=ids), gather_tokens(embed(x), ids))
    stream = ViT(
        patch_embed=PatchEmbed(8, patch=(4, 4), stride=(2, 2)),
        pos_embed=SinCosPosition(8, grid=(3, 3)),
        blocks=[Block(8, num_heads=2)],
        norm=nn.LayerNorm(8),
    )
    audio = vit(8, depth=1, num_heads=2, size=8, patch=4, channels=1)
    model = AVEncoder(image=stream, audio=audio, fusion=[None], num_tokens=1)
    with pytest.raises(ValueError, match=r"image stride must be its patch \(4, 4\)"):
        av_mae(model, dim=8, depth=1, num_heads=2)


def test_prefix_tokens_go_first_and_masks_keep_them() -> None:
    model, x = (
        vit(8, depth=2, num_heads=2, size=8, patch=4, prefix_tokens=3),
        torch.randn(2, 3, 8, 8),
    )
    out = model(x)
    assert out.shape == (2, 3 + 4, 8) and model.grid(x) == (2, 2)
    tokens = torch.cat((model.prefix_tokens.expand(2, -1, -1), model.embed(x)[:, 3:]), dim=1)
    for block in model.blocks:
        tokens = block(tokens)
    assert_close(out, model.norm(tokens))
    ids = torch.tensor([[2, 0], [1, 3]])
    kept = model.embed(x, ids_keep=ids)
    assert torch.equal(kept[:, :3], model.embed(x)[:, :3])
    assert torch.equal(kept[:, 3:], gather_tokens(model.embed(x)[:, 3:], ids))


def test_prefix_tokens_are_in_no_grid_and_no_map() -> None:
    streams = {
        "image": vit(DIM, depth=2, num_heads=2, size=16, patch=8, prefix_tokens=5),
        "audio": vit(DIM, depth=2, num_heads=2, size=(16, 24), patch=8, channels=1),
    }
    blocks = [FusionBlock(DIM, interaction=TokenFusion(DIM, num_heads=2)) for _ in range(2)]
    model, given = AVEncoder(**streams, fusion=blocks, num_tokens=3), clips(2)
    out = model(**given)
    assert out.image.shape == (2, 4, DIM) and out.image_prefix.shape == (2, 5, DIM)
    assert out.audio_prefix is None and out.fusion.shape[1] == 3
    layers = model.intermediates(**given)
    assert_close(model.normalize(layers[-1]).image, out.image)
    maps = fusion_map(model, **given, layer=1)
    assert maps.shape == (2, 4)
    assert not torch.equal(model(**given | {"audio": None}).image, out.image)
    loss = av_mae(model, dim=16, depth=1, num_heads=2)(**masked(2)).loss
    loss.backward()
    assert model.image.prefix_tokens.grad.any()
    more = encoder_flops(model, image=4, audio=6)
    model.image.num_prefix = 0
    assert more > encoder_flops(model, image=4, audio=6)


class Stem(nn.Module):
    """Two convolutions; what is masked is embedded too, and then left out."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.patch, self.channels = dim, (8, 8), 3
        self.conv1 = nn.Conv2d(3, dim, 4, stride=4)
        self.conv2 = nn.Conv2d(dim, dim, 2, stride=2)

    def grid(self, x: Tensor) -> tuple[int, ...]:
        return x.shape[2] // 8, x.shape[3] // 8

    def forward(self, x: Tensor, *, ids_keep: Tensor | None = None) -> Tensor:
        tokens = self.conv2(self.conv1(x).relu()).flatten(2).transpose(1, 2)
        return tokens if ids_keep is None else gather_tokens(tokens, ids_keep)


class TorchBlock(nn.Module):
    """PyTorch's layer over ``[context; x]``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            dim, 2, 2 * dim, 0.0, batch_first=True, norm_first=True
        )

    def forward(self, x: Tensor, *, context: Tensor | None = None) -> Tensor:
        both = x if context is None else torch.cat((context, x), dim=1)
        return self.layer(both)[:, -x.shape[1] :]


class Video(nn.Module):
    """A stream of PyTorch's own layers over tubes of two frames."""

    patch, channels, usual_grid = (2, 8, 8), 3, (2, 2, 2)

    def __init__(self, dim: int, *, depth: int) -> None:
        super().__init__()
        self.dim = dim
        self.tubes = nn.Conv3d(3, dim, (2, 8, 8), stride=(2, 8, 8))
        self.position = nn.Parameter(torch.randn(8, dim))
        self.blocks = nn.ModuleList(TorchBlock(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def grid(self, x: Tensor) -> tuple[int, ...]:
        return x.shape[2] // 2, x.shape[3] // 8, x.shape[4] // 8

    def embed(self, x: Tensor, *, ids_keep: Tensor | None = None) -> Tensor:
        tokens = self.tubes(x).flatten(2).transpose(1, 2) + self.position
        return tokens if ids_keep is None else gather_tokens(tokens, ids_keep)


def with_image(stream: Any, **changes: Any) -> AVEncoder:
    audio = vit(DIM, depth=2, num_heads=2, size=(16, 24), patch=8, channels=1)
    blocks = [FusionBlock(DIM, interaction=TokenFusion(DIM, num_heads=2)) for _ in range(2)]
    return AVEncoder(
        **({"image": stream, "audio": audio, "fusion": blocks, "num_tokens": 3} | changes)
    )


def stem_stream() -> ViT:
    blocks = [Block(DIM, num_heads=2) for _ in range(2)]
    position = SinCosPosition(DIM, grid=(2, 2))
    return ViT(patch_embed=Stem(DIM), pos_embed=position, blocks=blocks, norm=nn.RMSNorm(DIM))


@pytest.mark.parametrize("kind", ["stem", "video"])
def test_a_stream_of_ones_own(kind: str) -> None:
    model = with_image(stem_stream() if kind == "stem" else Video(DIM, depth=2))
    given = masked(2)
    if kind == "video":
        given |= {"image": torch.randn(2, 3, 4, 16, 16)}
        given |= {
            "image_mask": Mask(torch.randperm(8)[None, :4].repeat(2, 1), torch.zeros(2, 4).long())
        }
        given["image_mask"] = Mask.from_order(torch.rand(2, 8).argsort(1), num_kept=4)
    mae = av_mae(model, dim=16, depth=1, num_heads=2)
    mae(**given).loss.backward()
    assert not [n for n, p in mae.named_parameters() if p.grad is None]
    scales = {
        id(p): g["lr_scale"] for g in layer_decay_groups(model, encoder="") for p in g["params"]
    }
    below = model.image.patch_embed.conv1.weight if kind == "stem" else model.image.position
    block = next(model.image.blocks[1].parameters())
    assert (scales[id(below)], scales[id(block)]) == (0.75**3, 0.75)
    assert scales[id(next(model.image.norm.parameters()))] == 1.0
    assert "layers 0 to 1" in architecture(model)
    with pytest.raises(ValueError, match=r"give it a method flops\(n"):
        encoder_flops(model, image=4, audio=6)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("part", ["dim", "grid", "embed", "blocks", "norm"])
def test_what_lacks_a_part_is_refused_by_its_name(part: str) -> None:
    class Partial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            parts = {"dim": DIM, "grid": len, "embed": len, "blocks": [], "norm": nn.Identity()}
            for name, value in parts.items():
                if name != part:
                    setattr(self, name, value)

    with pytest.raises(
        ValueError, match=f"image: Partial has no `{part}`; to be a stream: dim, grid"
    ):
        with_image(Partial())


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_predicted_is_refused_by_its_name() -> None:
    class Plain(Video):
        @property
        def patch(self) -> None:
            raise AttributeError

    with pytest.raises(ValueError, match="image: Plain has no `patch`; to predict its patches"):
        av_mae(with_image(Plain(DIM, depth=2)))
    stem = Stem(DIM)
    del stem.channels
    with pytest.raises(
        ValueError, match="patch_embed must be a module with `channels`, got 'Stem'"
    ):
        ViT(
            patch_embed=stem,
            pos_embed=SinCosPosition(DIM, grid=(2, 2)),
            blocks=[nn.Identity()],
            norm=nn.Identity(),
        )
    with pytest.raises(ValueError, match=r"fusion\[0\] must be a FusionBlock .*'TokenFusion'"):
        with_image(stem_stream(), fusion=[TokenFusion(DIM, num_heads=2), None])


class MeanDecoder(nn.Module):
    """Predicts each patch from the mean of the fusion tokens alone."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.encoder_dim, self.patch_values = DIM, values
        self.pred = nn.Linear(DIM, values)

    def forward(self, kept: Tensor, *, fusion: Tensor, mask: Mask, grid: tuple[int, ...]) -> Tensor:
        return self.pred(fusion.mean(dim=1, keepdim=True)).expand(-1, mask.to_predict.shape[1], -1)


@pytest.mark.usefixtures("unchecked")
def test_a_decoder_of_ones_own() -> None:
    decoders: dict[str, Any] = {"image": MeanDecoder(192), "audio": MeanDecoder(64)}
    model = AVMAE(encoder(), image_decoder=decoders["image"], audio_decoder=decoders["audio"])
    out = model(**masked(2))
    wanted = decoders["audio"].pred(out.fusion.mean(dim=1))
    assert_close(out.pred_audio, wanted[:, None].expand_as(out.pred_audio))
    out.loss.backward()
    assert decoders["image"].pred.weight.grad.any()
    for part in ("encoder_dim", "patch_values"):
        lacking = MeanDecoder(192)
        delattr(lacking, part)
        with pytest.raises(ValueError, match=f"image_decoder must be .* `{part}`, got 'MeanDecod"):
            AVMAE(encoder(), image_decoder=lacking, audio_decoder=decoders["audio"])
    with pytest.raises(ValueError, match=r"audio_decoder must be of width 16, 64 values"):
        AVMAE(encoder(), image_decoder=decoders["image"], audio_decoder=MeanDecoder(65))


def test_a_fusion_that_writes_back(tmp_path: Any) -> None:
    model, given = encoder(Bottleneck, num_tokens=(3,), fusion_layers=[1]), clips(2)
    assert isinstance(model.fusion_blocks["1"], FusionLayer)
    out = model(**given)
    start = model.layer(model.embed(**given), 0)
    layer, image = (
        model.fusion_blocks["1"],
        model.image.blocks[1](start.image, context=start.fusion),
    )
    writes = layer.image_write(start.fusion, start.image) + layer.audio_write(
        start.fusion, start.audio
    )
    assert_close(out.image, model.image.norm(image))
    assert_close(out.fusion, model.fusion_norm(start.fusion + writes / 2))
    assert model(image=None, audio=given["audio"]).image is None
    with pytest.raises(ValueError, match=r"Bottleneck is not a class of avblocks.*save_file"):
        save_pretrained(model, tmp_path)
    with pytest.raises(
        ValueError, match=r"Bottleneck .* give it a method flops\(fusion, image, audio"
    ):
        encoder_flops(model, image=4, audio=6)
    with pytest.raises(ValueError, match="Bottleneck has no method `attention`"):
        fusion_map(model, **given, layer=1)
    assert "Bottleneck" in architecture(model) and "exchanges tokens" in architecture(model)


OTHER: dict[str, tuple[Callable[[AVTokens], Any], str]] = {
    "fewer tokens": (
        lambda tokens: replace(tokens, fusion=tokens.fusion[:, :1]),
        r"fusion after it must have shape \(b=2, n=3, d=16\), got \(2, 1, 16\)",
    ),
    "another batch": (
        lambda tokens: replace(tokens, image=tokens.image[:1]),
        r"image after it must have shape \(b=2, n=4, d=16\), got \(1, 4, 16\)",
    ),
    "no audio": (
        lambda tokens: replace(tokens, audio=None),
        "audio after a layer must be as before it, got None",
    ),
    "a tensor": (lambda tokens: tokens.fusion, "a layer must be AVTokens, .* got 'Tensor'"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("result", OTHER)
def test_a_fusion_that_returns_other_shapes_is_refused(result: str) -> None:
    change, message = OTHER[result]

    class Other(FusionLayer):
        def __init__(self, dim: int) -> None:
            super().__init__()

        def forward(self, tokens: AVTokens, *, image: Any, audio: Any) -> Any:
            return change(tokens)

    with pytest.raises(ValueError, match=message):
        encoder(Other, num_tokens=(3,))(**clips(2))


@pytest.mark.usefixtures("unchecked")
def test_a_block_that_returns_its_context_too_is_refused() -> None:
    class Whole(nn.Module):
        def forward(self, x: Tensor, *, context: Tensor | None = None) -> Tensor:
            return x if context is None else torch.cat((context, x), dim=1)

    model = encoder("token", num_tokens=(3, 2, 2))
    model.image.blocks[1] = Whole()
    message = r"image after it must have shape \(b=2, n=4, d=16\), got \(2, 11, 16\)"
    with pytest.raises(ValueError, match=message):
        model(**clips(2))


def test_a_fusion_without_fusion_tokens() -> None:
    model, given = encoder(Bottleneck, num_tokens=()), clips(2)
    out = model(**given)
    assert out.fusion.shape == (2, 0, DIM) and out.image.isfinite().all()


class Product(nn.Module):
    """An interaction that takes two of the builder's numbers."""

    def __init__(self, dim: int, *, num_heads: int, attn_ratio: float = 0.25) -> None:
        super().__init__()
        self.token = TokenFusion(dim, num_heads=num_heads, attn_ratio=attn_ratio)
        self.attn_ratio = attn_ratio

    def forward(self, fusion: Tensor, *, image: Tensor | None, audio: Tensor | None) -> Tensor:
        return fusion * self.token(fusion, image=image, audio=audio)

    def flops(self, *, fusion: int, image: int, audio: int) -> int:
        return 1000 * fusion


def test_a_builder_takes_a_class_where_it_takes_a_name() -> None:
    model = encoder(Product, attn_ratio=0.5)
    interactions = [block.interaction for block in model.fusion_blocks.values()]
    assert [type(one) for one in interactions] == [Product] * 2
    assert interactions[0].attn_ratio == 0.5
    assert model(**clips(2)).fusion.shape == (2, 7, DIM)
    plain = encoder(fusion_layers="none")
    assert (
        encoder_flops(model, image=4, audio=6) > encoder_flops(plain, image=4, audio=6) + 2 * 7000
    )


def test_audio_and_video() -> None:
    model = av_vit(
        16, depth=1, num_heads=2, image_size=(4, 16, 16), audio_size=(16, 24), patch=(2, 8, 8)
    )
    out = model(image=torch.randn(2, 3, 4, 16, 16), audio=torch.randn(2, 1, 16, 24))
    assert (out.image.shape[1], out.audio.shape[1]) == (8, 6)
    paper = av_vit(
        32, depth=1, num_heads=2, image_size=(4, 224, 224), patch=(2, 16, 16), device="meta"
    )
    assert paper.image.usual_grid == (2, 14, 14) and paper.audio.usual_grid == (8, 12)
