"""The segmentation head, against its convolutions written out as sums."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, layer_norm, linear, randomize
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks import AVTokens, av_vit
from avblocks.heads import Pyramid, Segmenter, dice_loss, segmentation_loss, segmenter
from avblocks.heads.pyramid import Rise

GRID = (2, 3)


def head(*, patch: int = 8, levels: int = 3, classes: int = 4, dim: int = 8) -> Segmenter:
    widths = [max(3, dim // 2**level) for level in range(levels)]
    return Segmenter(
        pyramid=Pyramid(dim, widths=widths),
        num_classes=classes,
        depths=[1, 0, 3, 2][:levels],
        patch=patch,
        hidden=5,
    )


def tokens(*, layers: int = 4, grid: tuple[int, int] = GRID, b: int = 2, d: int = 8) -> list:
    def some(n: int) -> Tensor:
        return torch.randn(b, n, d, dtype=torch.float64, requires_grad=True)

    rows, columns = grid
    return [
        AVTokens(image=some(rows * columns), audio=some(4), fusion=some(2)) for _ in range(layers)
    ]


def conv(layer: nn.Conv2d, x: Tensor) -> Tensor:
    windows = nn.functional.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
    out = torch.einsum("bchwij,ocij->bohw", windows, layer.weight)
    return out if layer.bias is None else out + layer.bias[:, None, None]


def batch_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    mean, var = norm.running_mean, norm.running_var
    if norm.training:
        mean = x.mean(dim=(0, 2, 3))
        var = (x - mean[:, None, None]).square().mean(dim=(0, 2, 3))
    scale = norm.weight / (var + norm.eps).sqrt()
    return x * scale[:, None, None] + (norm.bias - mean * scale)[:, None, None]


def pair(layers: nn.Module, x: Tensor) -> Tensor:
    x = batch_norm(layers.norm1, conv(layers.conv1, x)).clamp(min=0)
    return batch_norm(layers.norm2, conv(layers.conv2, x)).clamp(min=0)


def enlarge(up: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """A pixel becomes a square: its own linear image of the pixel's channels."""
    squares = torch.einsum("bchw,coij->bohiwj", x, up.weight)
    return squares.flatten(4).flatten(2, 3) + up.bias[:, None, None]


def stretch(n: int, size: int) -> Tensor:
    """Weights of linear interpolation from ``n`` points to ``size``."""
    weights = torch.zeros(size, n, dtype=torch.float64)
    for i in range(size):
        place = max((i + 0.5) * n / size - 0.5, 0.0)
        low = min(int(place), n - 1)
        weights[i, low] += 1 - (place - low)
        weights[i, min(low + 1, n - 1)] += place - low
    return weights


def slow_logits(model: Segmenter, layers: list, grid: tuple[int, int]) -> Tensor:
    x = None
    for level, depth in enumerate(model.depths):
        image = layer_norm(model.norm_image[level], layers[depth].image)
        image = image.transpose(1, 2).unflatten(2, grid)
        audio = linear(model.project_audio[level], layers[-1].audio)
        audio = layer_norm(model.norm_audio[level], audio).mean(dim=1)
        if level > 0:
            lateral = model.pyramid.laterals[level - 1]
            image = pair(lateral.conv, enlarge(lateral.up, image))
        height, width = image.shape[2:]
        sides = torch.cat((image, audio[:, :, None, None].repeat(1, 1, height, width)), dim=1)
        if x is None:
            x = pair(model.pyramid.top, sides)
        else:
            rise = model.pyramid.rises[level - 1]
            x = pair(rise.conv, torch.cat((enlarge(rise.up, x), sides), dim=1))
    x = conv(model.hidden, x)
    up = [stretch(n, g * model.patch) for n, g in zip(x.shape[2:], grid, strict=True)]
    return conv(model.pred, torch.einsum("bchw,ih,jw->bcij", x, *up))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(3, 9), st.booleans())
def test_equals_the_sums(rows: int, columns: int, levels: int, patch: int, train: bool) -> None:
    model = randomize(head(patch=patch, levels=levels)).train(train)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -1, 1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    layers = tokens(grid=(rows, columns))
    expected = slow_logits(model, layers, (rows, columns))
    inputs = [layers[-1].audio, *(layer.image for layer in layers)]
    ours = model(layers, grid=(rows, columns))
    assert ours.shape == (2, 4, rows * patch, columns * patch)
    assert_same(ours, expected, [*inputs, *model.parameters()], atol=1e-9)


def test_a_tiny_encoder() -> None:
    encoder = av_vit(128, depth=4, num_heads=4, patch=8, image_size=64, audio_size=(64, 32))
    image, audio = torch.randn(2, 3, 64, 64), torch.randn(2, 1, 64, 32)
    layers, grid = encoder.intermediates(image=image, audio=audio), encoder.image.grid(image)
    for depths in (None, (0, 1, 2, 3), (3,)):
        model = segmenter(
            128, num_classes=1, patch=8, num_layers=4, depths=depths, min_width=16, hidden=16
        )
        assert model(layers, grid=grid).shape == (2, 1, 64, 64)
    # Beyond its usual size, and not square.
    image = torch.randn(1, 3, 48, 80)
    layers = encoder.intermediates(image=image, audio=audio[:1])
    assert model(layers, grid=encoder.image.grid(image)).shape == (1, 1, 48, 80)


def test_the_papers_values() -> None:
    with torch.device("meta"):
        model = segmenter(768, num_classes=71)
    assert model.depths == (0, 3, 7, 11) and model.patch == 16
    assert model.pyramid.widths == (768, 384, 192, 128)
    assert model.hidden.out_channels == 128 and model.pred.out_channels == 71
    assert {norm.eps for norm in (*model.norm_image, *model.norm_audio)} == {1e-5}


@given(st.integers(1, 30), st.sampled_from([2, 4, 8, 14, 16, 32]))
def test_default_depths_are_evenly_spread(num_layers: int, patch: int) -> None:
    with torch.device("meta"):
        depths = segmenter(64, num_classes=1, patch=patch, num_layers=num_layers).depths
    levels = {2: 1, 4: 2, 8: 3, 14: 4, 16: 4, 32: 5}[patch]
    last = num_layers - 1
    assert len(depths) == levels and depths[0] == 0 and max(depths) == (last if levels > 1 else 0)
    even = torch.linspace(0, last, levels, dtype=torch.float64)
    assert all(0 <= e - d < 1 for e, d in zip((even + 1e-9).tolist(), depths, strict=True))


def test_only_what_it_reads_matters() -> None:
    model, layers = randomize(head(levels=2)).eval(), tokens()
    with torch.no_grad():
        logits = model(layers, grid=GRID)
        for i, layer in enumerate(layers):
            parts = {"image": layer.image, "audio": layer.audio, "fusion": layer.fusion}
            for name, value in parts.items():
                changed = AVTokens(**parts | {name: value + torch.randn_like(value)})
                other = model([*layers[:i], changed, *layers[i + 1 :]], grid=GRID)
                read = i in model.depths if name == "image" else name == "audio" and i == 3
                assert torch.equal(other, logits) != read, (i, name)


def test_order_of_batch_and_audio() -> None:
    model, layers = randomize(head()).eval(), tokens(b=3)
    batch, order = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 0, 2])
    moved = [
        AVTokens(image=x.image[batch], audio=x.audio[batch][:, order], fusion=x.fusion[batch])
        for x in layers
    ]
    assert_close(model(moved, grid=GRID), model(layers, grid=GRID)[batch])


def test_it_learns_to_listen() -> None:
    """One image, two sounds, two masks: only the sound can tell which."""
    model = head(classes=1, dim=8, levels=2, patch=4)
    image, audio = torch.randn(1, 6, 8).expand(2, 6, 8), torch.randn(2, 4, 8)
    layers = [AVTokens(image=image, audio=audio, fusion=audio)] * 4
    target = torch.zeros(2, 8, 12, dtype=torch.uint8)
    target[0, :, :6], target[1, :, 6:] = 3, 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = segmentation_loss(model(layers, grid=GRID), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    swapped = [AVTokens(image=image, audio=audio.flip(0), fusion=audio)] * 4
    with torch.no_grad():
        masks = model(swapped, grid=GRID)[:, 0] > 0
    assert (masks == (target.flip(0) > 0)).double().mean() > 0.95


@given(st.integers(1, 4), st.integers(0, 10**6))
def test_loss_equals_a_sum_over_pixels(classes: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 3, 2, generator=random, dtype=torch.float64)
    logits.requires_grad_()
    target = torch.randint(
        max(classes, 3) if classes == 1 else classes, (2, 3, 2), generator=random
    )
    # One channel is the logit against a background of 0, whatever the class.
    both = torch.cat((torch.zeros_like(logits), logits), dim=1) if classes == 1 else logits
    wanted = target.clamp(max=1) if classes == 1 else target
    share = both.exp() / both.exp().sum(dim=1, keepdim=True)
    expected = -share.gather(1, wanted[:, None]).log().mean()
    assert_same(segmentation_loss(logits, target), expected, [logits])
    assert segmentation_loss(logits, target.byte()) == segmentation_loss(logits, target)
    if classes == 1:
        assert segmentation_loss(logits, target > 0) == segmentation_loss(logits, target)


@given(st.integers(1, 4), st.integers(0, 10**6))
def test_dice_loss_equals_a_loop_over_images_and_classes(classes: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, classes, 3, 2, generator=random, dtype=torch.float64)
    logits.requires_grad_()
    target = torch.randint(max(classes, 2), (3, 3, 2), generator=random)
    target[2] = 0  # an image without foreground
    terms = []
    for scores, truth in zip(logits, target, strict=True):
        for number in range(1, max(classes, 2)):
            found = scores.softmax(dim=0)[number] if classes > 1 else scores[0].sigmoid()
            own = truth == number
            if classes == 1 or own.any():
                share = (2 * found[own].sum() + 1) / (found.sum() + own.sum() + 1)
                terms.append(1 - share)
    expected = torch.stack(terms).mean() if terms else 0 * logits.sum()
    assert_same(dice_loss(logits, target), expected, [logits])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert dice_loss(logits.bfloat16(), target).dtype == torch.float32
    if classes == 1:
        assert dice_loss(logits, target > 0) == dice_loss(logits, target)


def test_initial_weights() -> None:
    model = segmenter(64, num_classes=3, num_layers=4, min_width=32, hidden=32)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            outputs = module.weight.shape[0] * math.prod(module.kernel_size)
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / outputs), rel=0.1)
        if isinstance(module, nn.Linear):
            limit = math.sqrt(6 / (module.in_features + module.out_features))
            assert 0.95 * limit < module.weight.abs().max() <= limit
        if getattr(module, "bias", None) is not None:
            assert not module.bias.any()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("train", [True, False])
def test_compiles_whole(train: bool) -> None:
    model, layers = randomize(head()).train(train), tokens()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager" if train else "eager")
    assert_close(compiled(layers, grid=GRID), model(layers, grid=GRID))


@pytest.mark.usefixtures("unchecked")
def test_wrong_inputs_are_refused() -> None:
    model, layers = head().double(), tokens()
    missing = {
        "audio": AVTokens(image=layers[0].image, audio=None, fusion=layers[0].fusion),
        "image": AVTokens(image=None, audio=layers[0].audio, fusion=layers[0].fusion),
    }
    for name, layer in missing.items():
        with pytest.raises(ValueError, match=f"{name} is missing: .* a silent waveform"):
            model([layer] * 4, grid=GRID)
    with pytest.raises(ValueError, match="layers must be more than 3"):
        model(layers[:3], grid=GRID)
    with pytest.raises(ValueError, match=r"image must have shape \(b=2, n=4, d=8\)"):
        model(layers, grid=(2, 2))
    with pytest.raises(ValueError, match="audio must have shape"):
        model(tokens(d=4), grid=GRID)
    with pytest.raises(ValueError, match="grid must be rows and columns: masks are of one image"):
        model(layers, grid=(2, *GRID))
    one = AVTokens(image=layers[0].image[:1], audio=layers[0].audio, fusion=layers[0].fusion)
    with pytest.raises(ValueError, match="image must have shape"):
        model([one] * 4, grid=GRID)
    for target in (torch.zeros(2, 8, 7).long(), torch.zeros(1, 8, 8).long()):
        with pytest.raises(ValueError, match="target must have shape"):
            segmentation_loss(torch.zeros(2, 1, 8, 8), target)
        with pytest.raises(ValueError, match="target must have shape"):
            dice_loss(torch.zeros(2, 1, 8, 8), target)
    maps, conditions = [torch.zeros(2, 8, 2, 2)] * 2, [torch.zeros(2, 8), torch.zeros(2, 4)]
    pyramid = Pyramid(8, widths=(8, 4))
    for wrong in (maps[:1], [maps[0], torch.zeros(2, 8, 2, 3)], [maps[0], torch.zeros(2, 6, 2, 2)]):
        with pytest.raises((ValueError, RuntimeError)):
            pyramid(wrong, conditions=conditions)
    for wrong in (conditions[:1], conditions[::-1], [conditions[0], torch.zeros(1, 4)]):
        with pytest.raises((ValueError, RuntimeError)):
            pyramid(maps, conditions=wrong)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("widths", lambda: Pyramid(8, widths=())),
        ("out_channels", lambda: Pyramid(8, widths=(8, 0))),
        ("channels", lambda: Pyramid(2, widths=(2, 2, 2))),
        ("factor", lambda: Rise(8, width=4, factor=0)),
        ("dim", lambda: segmenter(0, num_classes=1)),
        ("num_classes", lambda: segmenter(16, num_classes=0)),
        ("num_layers", lambda: segmenter(16, num_classes=1, num_layers=0)),
        ("patch", lambda: segmenter(16, num_classes=1, patch=1)),
        ("patch", lambda: segmenter(16, num_classes=1, patch=0, depths=(0, 1))),
        ("min_width", lambda: segmenter(16, num_classes=1, min_width=0)),
        ("hidden", lambda: segmenter(16, num_classes=1, hidden=0)),
        ("depths", lambda: segmenter(16, num_classes=1, depths=(0, 12))),
        ("depths", lambda: segmenter(16, num_classes=1, depths=(0, -1))),
        ("widths", lambda: segmenter(16, num_classes=1, depths=())),
        (
            "depths",
            lambda: Segmenter(pyramid=Pyramid(8, widths=(8,)), num_classes=1, depths=(0, 1)),
        ),
        (
            "norm_eps",
            lambda: Segmenter(
                pyramid=Pyramid(8, widths=(8,)), num_classes=1, depths=(0,), norm_eps=0.0
            ),
        ),
    ],
)
def test_impossible_numbers_are_refused(name: str, make: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        make()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("loss", [segmentation_loss, dice_loss])
def test_soft_masks_are_no_targets(loss: Any) -> None:
    with pytest.raises(ValueError, match=r"binary mask, such as x > threshold"):
        loss(torch.zeros(1, 1, 2, 2), torch.full((1, 2, 2), 0.1))
