"""Drawings say what the modules are, change with them, and are fit to be looked at."""

import re
from collections.abc import Iterable
from functools import cache
from itertools import combinations
from xml.etree import ElementTree

import matplotlib
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFont
from torch import nn

from avblocks import AVEncoder, FusionBlock, av_mae, av_vit, av_vit_base, av_vit_huge, vit
from avblocks.build.encoder import FusionName
from avblocks.diagram import architecture
from avblocks.zoo import ast, with_stream
from recipes.common.sizes import usual_sizes

SVG = "{http://www.w3.org/2000/svg}"


def small(**changes: object) -> AVEncoder:
    sizes = {"depth": 4, "num_heads": 4, "image_size": 32, "audio_size": (32, 48)}
    return av_vit(64, **{**sizes, **changes})


def lines(svg: str) -> list[str]:
    return [
        (text.text or "").replace("\N{MULTIPLICATION SIGN}", "x")
        for text in ElementTree.fromstring(svg).iter(f"{SVG}text")
    ]


def test_the_papers_model_in_numbers() -> None:
    with torch.device("meta"):
        model = av_mae(av_vit_base())
    said = lines(architecture(model))
    millions = {
        f"12 x {sum(p.numel() for p in block.parameters()) / 1e6:.1f} M parameters"
        for block in (model.encoder.image.blocks[0], model.encoder.fusion_blocks["0"])
    }
    assert millions <= set(said)
    for line in (
        "3 x 224 x 224",
        "196 patches of 16 x 16",
        "1 x 128 x 192",
        "96 patches of 16 x 16",
        "32 learned, of width 768",
        "16 fusion + 8 image + 8 audio",
        "layers 0 to 11",
        "12 heads, MLP of 3,072",
        "FactorizedFusion",
        "reads 8 x 8 aggregate pairs",
        "kept tokens of width 768",
        "8 blocks of width 512, 16 heads",
        "768 values of each masked patch",
        "256 values of each masked patch",
    ):
        assert line in said, line


def test_overlapping_patches_have_the_size_of_their_input() -> None:
    with torch.device("meta"):
        stream = ast(192, depth=1, num_heads=3)
    encoder = with_stream(av_vit(192, depth=1, num_heads=3), "audio", stream)
    assert "1 x 128 x 1024" in lines(architecture(encoder))
    assert usual_sizes(encoder) == "224 x 224 pixels and 128 x 1024 mel bins and frames"


def test_the_caption_counts_every_parameter_once() -> None:
    model = av_mae(small(), dim=32, depth=1, num_heads=4)
    *_, caption = lines(architecture(model))
    total, *parts = (int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\d", caption))
    assert total == sum(parts) == sum(p.numel() for p in model.parameters())


def test_each_fusion_says_what_it_reads() -> None:
    reads = {
        "token": "reads 4 + 6 tokens",
        "dense": "reads 4 x 6 token pairs",
        "factorized": "reads 8 x 8 aggregate pairs",
    }
    names: tuple[FusionName, ...] = ("token", "dense", "factorized")
    for fusion in names:
        said = lines(architecture(small(fusion=fusion)))
        assert [line for line in said if line.startswith("reads")] == [reads[fusion]]
        assert any(line.startswith("16 fusion") for line in said) == (fusion == "factorized")


def test_a_fusion_of_ones_own_is_drawn_by_its_name() -> None:
    class Sum(nn.Module):
        pass

    block = FusionBlock(64, interaction=Sum())
    stream = {"depth": 1, "num_heads": 4, "size": 32}
    encoder = AVEncoder(
        image=vit(64, **stream), audio=vit(64, channels=1, **stream), fusion=[block], num_tokens=5
    )
    said = lines(architecture(encoder))
    assert (
        "Sum" in said
        and "reads image and audio tokens" in said
        and "5 learned, of width 64" in said
    )


def test_layers_that_differ_are_drawn_apart() -> None:
    def labels(encoder: AVEncoder) -> list[str]:
        return [line for line in lines(architecture(encoder)) if line.startswith("layer")]

    assert labels(small()) == ["layers 0 to 3"]
    assert labels(small(fusion_layers="none")) == ["layers 0 to 3"]
    assert labels(small(fusion_layers=[1, 3])) == ["layer 0", "layer 1", "layer 2", "layer 3"]
    assert labels(small(depth=(4, 2))) == ["layers 0 to 1", "layers 2 to 3"]
    changed = small()
    changed.image.blocks[2] = nn.Sequential()  # not of the house: drawn by its name
    assert labels(changed) == ["layers 0 to 1", "layer 2", "layer 3"]
    assert "Sequential" in lines(architecture(changed))


def test_arrows_are_what_is_read() -> None:
    def arrows(encoder: AVEncoder) -> int:
        return architecture(encoder).count('<path d="M') - 3  # the heads of three colours

    # In and out of a box in each column, and across: two that fusion reads, two that read it.
    assert arrows(small(fusion_layers="none")) == 5
    assert arrows(small()) == 6 + 4
    assert arrows(small(depth=(4, 2))) == 6 + 4 + 2 + 3
    assert arrows(small(fusion_layers=[3])) == 6 + 2 + 4


@settings(max_examples=25, deadline=None)
@given(
    depth=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    fused=st.sets(st.integers(0, 3)),
    fusion=st.sampled_from(["token", "dense", "factorized"]),
    decoders=st.booleans(),
)
def test_nothing_lies_over_anything_else(
    depth: tuple[int, int], fused: set[int], fusion: FusionName, decoders: bool
) -> None:
    layers = sorted(layer for layer in fused if layer < max(depth))
    with torch.device("meta"):
        encoder = small(depth=depth, fusion=fusion, fusion_layers=layers)
        svg = architecture(av_mae(encoder) if decoders else encoder)
    assert_readable(svg)


def test_the_largest_model_fits() -> None:
    with torch.device("meta"):
        assert_readable(architecture(av_mae(av_vit_huge(fusion="dense", mlp_ratio=4.0))))


def assert_readable(svg: str) -> None:
    """Boxes keep apart, text stays in its box, all is inside the picture."""
    root = ElementTree.fromstring(svg)
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    rects = [rect.attrib for rect in root.iter(f"{SVG}rect")]
    places = [[int(r.get(key, 0)) for key in ("x", "y", "width", "height")] for r in rects]
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in places)
    boxes = [p for p, rect in zip(places, rects, strict=True) if rect.get("rx") == "8"]
    fronts = [
        box for box, after in zip(boxes, [*boxes[1:], None], strict=True) if apart(box, after)
    ]
    frames = [p for p, rect in zip(places, rects, strict=True) if rect.get("rx") == "10"]
    for one, other in (*combinations(fronts, 2), *combinations(frames, 2)):
        assert apart(one, other)
    assert all(apart(box, frame) or within(box, frame) for box in boxes for frame in frames)
    for text in root.iter(f"{SVG}text"):
        x, y, size = (int(text.get(key, 12)) for key in ("x", "y", "font-size"))
        half = font(size).getlength(text.text or "") / 2
        around = [b for b in fronts if b[0] < x < b[0] + b[2] and b[1] < y < b[1] + b[3]]
        left, right = (around[0][0], sum(around[0][::2])) if around else (0, width)
        if text.get("text-anchor") == "middle":
            assert left < x - half and x + half < right, text.text


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Of the usual fonts without serifs the widest."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def apart(box: Iterable[int], other: Iterable[int] | None) -> bool:
    if other is None:
        return True
    (x, y, w, h), (x2, y2, w2, h2) = box, other
    return x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def within(box: Iterable[int], frame: Iterable[int]) -> bool:
    (x, y, w, h), (left, top, width, height) = box, frame
    return left < x and x + w < left + width and top < y and y + h < top + height
