import numpy as np
import pytest
import slow
import torch
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import AVEncoder, AVTokens, Mask, RandomMask, av_mae, av_vit, fusion_block, vit

FUSIONS = ("token", "dense", "factorized")
each = pytest.mark.parametrize("fusion", FUSIONS)


def make(fusion: str, **changes: object) -> AVEncoder:
    numbers = {"depth": 2, "num_heads": 2, "patch": 4, "image_size": 8, "audio_size": (8, 12)}
    numbers |= {"num_tokens": (2, 1, 1), "fusion": fusion}
    return randomize(av_vit(8, **(numbers | changes)))


def inputs(*, image: tuple[int, int] = (8, 8), audio: tuple[int, int] = (8, 12)) -> dict:
    return {
        "image": torch.randn(2, 3, *image, dtype=torch.float64),
        "audio": torch.randn(2, 1, *audio, dtype=torch.float64),
    }


def masks(*, image: tuple[int, int] = (2, 2), audio: tuple[int, int] = (2, 3)) -> dict[str, Mask]:
    return {
        "image_mask": RandomMask(0.5)(image, batch=2),
        "audio_mask": RandomMask(0.5)(audio, batch=2),
    }


def slow_encoder(encoder: AVEncoder, start: AVTokens) -> AVTokens:
    """Blocks over ``[fusion; stream]``, of which the stream is kept, all from the same tokens."""
    streams, fusion = {"image": start.image, "audio": start.audio}, start.fusion
    vits = {"image": encoder.image, "audio": encoder.audio}
    for layer in range(max(len(one.blocks) for one in vits.values())):
        before, old = dict(streams), fusion
        fused = str(layer) in encoder.fusion_blocks
        for name, tokens in before.items():
            if tokens is None or layer >= len(vits[name].blocks):
                continue
            both = torch.cat((old, tokens), dim=1) if fused else tokens
            streams[name] = slow.block(vits[name].blocks[layer], both)[:, -tokens.shape[1] :]
        if fused:
            fusion = slow.fusion_block(encoder.fusion_blocks[str(layer)], old, **before)
    for name, tokens in streams.items():
        streams[name] = None if tokens is None else slow.layer_norm(vits[name].norm, tokens)
    return AVTokens(**streams, fusion=slow.layer_norm(encoder.fusion_norm, fusion))


def together(tokens: AVTokens) -> Tensor:
    return torch.cat(
        [x for x in (tokens.image, tokens.audio, tokens.fusion) if x is not None], dim=1
    )


def assert_plain_loop(encoder: AVEncoder, **given: object) -> AVTokens:
    out, start = encoder(**given), encoder.embed(**given)
    wanted = slow_encoder(encoder, start)
    assert_same(together(out), together(wanted), encoder.parameters(), atol=1e-10)
    return out


@each
@pytest.mark.parametrize("layers", ["all", "none", [1]], ids=str)
@pytest.mark.parametrize("depth", [2, (3, 2), (1, 2)], ids=str)
def test_encoder_is_the_plain_loop(fusion: str, layers: object, depth: object) -> None:
    encoder = make(fusion, fusion_layers=layers, depth=depth)
    assert_plain_loop(encoder, **inputs())
    assert_plain_loop(encoder, **inputs(), **masks())


@each
def test_other_sizes_than_built_for(fusion: str) -> None:
    out = assert_plain_loop(make(fusion), **inputs(image=(12, 8), audio=(8, 20)))
    assert (out.image.shape, out.audio.shape) == ((2, 6, 8), (2, 10, 8))


def test_without_fusion_each_stream_is_its_vit() -> None:
    encoder, given = make("dense", fusion_layers="none"), inputs()
    out = encoder(**given)
    assert_close(out.image, encoder.image(given["image"]))
    assert_close(out.audio, encoder.audio(given["audio"]))
    assert_close(out.fusion[0], out.fusion[1])


@each
@pytest.mark.parametrize("missing", ["image", "audio"])
def test_a_missing_modality_contributes_nothing(fusion: str, missing: str) -> None:
    encoder, given = make(fusion), inputs() | {missing: None}
    out = assert_plain_loop(encoder, **given)
    assert getattr(out, missing) is None
    for parameter in getattr(encoder, missing).parameters():
        torch.nn.init.normal_(parameter)
    assert torch.equal(together(encoder(**given)), together(out))


def test_a_mask_of_the_other_modality_may_stay() -> None:
    encoder, given = make("token"), inputs() | {"image": None}
    out = encoder(**given, audio_mask=masks()["audio_mask"])
    assert out.image is None and out.audio.shape == (2, 3, 8)


@each
def test_order_of_the_batch(fusion: str) -> None:
    encoder, given = make(fusion), inputs()
    flipped = {name: x.flip(0) for name, x in given.items()}
    assert_close(together(encoder(**flipped)), together(encoder(**given)).flip(0))


@each
def test_masked_patches_are_not_seen(fusion: str) -> None:
    encoder, given, hidden = make(fusion), inputs(), masks()
    out = encoder(**given, **hidden)
    assert out.image.shape[1] == 2 and out.audio.shape[1] == 3
    for b, ids in enumerate(hidden["image_mask"].ids_masked.tolist()):
        for i in ids:
            rows, columns = 4 * (i // 2), 4 * (i % 2)
            given["image"][b, :, rows : rows + 4, columns : columns + 4] = 7.0
    assert torch.equal(together(encoder(**given, **hidden)), together(out))


def test_intermediates() -> None:
    encoder, given = make("factorized", depth=(3, 2)), inputs()
    layers = encoder.intermediates(**given)
    assert len(layers) == 3
    assert_close(together(encoder.normalize(layers[-1])), together(encoder(**given)))
    assert torch.equal(layers[2].audio, layers[1].audio)
    assert not torch.equal(layers[2].image, layers[1].image)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None, "audio": None}, "image and audio must be not both missing"),
        ({"audio": torch.zeros(3, 1, 8, 12).double()}, "batches of as many clips"),
        ({"image": torch.zeros(3, 8, 8).double()}, r"as many clips, got \[\(3, 8, 8\), \(2, 1"),
        ({"image": torch.zeros(()).double()}, r"as many clips, got \[\(\), \(2, 1"),
        ({"image": torch.zeros(2, 1, 8, 8).double()}, "input must have shape .*c=3"),
        ({"audio": torch.zeros(2, 3, 8, 12).double()}, "input must have shape .*c=1"),
        ({"audio": torch.zeros(2, 8, 12).double()}, "input must have shape"),
        ({"image": torch.zeros(2, 3, 8, 9).double()}, "size must be a multiple of the patch"),
        ({"image_mask": RandomMask(0.5)((2, 3), batch=2)}, "mask must be over the input's 4"),
        ({"image_mask": RandomMask(0.5)((2, 2), batch=3)}, "ids must have shape .*b=2"),
        ({"audio_mask": RandomMask(0.5)((2, 2), batch=2)}, "mask must be over the input's 6"),
        ({"image_mask": torch.ones(2, 4).bool()}, "mask must be a Mask, .*got 'Tensor'"),
    ],
)
def test_misfits(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("token")(**(inputs() | changes))


@pytest.mark.usefixtures("unchecked")
def test_masks_have_a_row_for_each_sample() -> None:
    flat = Mask(*torch.arange(4).split(2))
    with pytest.raises(ValueError, match=r"ids_keep must have shape \(b, k\), got \(2,\)"):
        make("token")(**(inputs() | {"image_mask": flat}))


def test_parts_that_do_not_fit() -> None:
    image, audio = (vit(8, depth=1, num_heads=2, size=8, patch=4) for _ in range(2))
    wide = vit(16, depth=1, num_heads=2, size=8, patch=4)
    with pytest.raises(ValueError, match="audio must be as wide as the image's 8, got 16"):
        AVEncoder(image=image, audio=wide, fusion=[None], num_tokens=4)
    with pytest.raises(ValueError, match=r"fusion\[0\] must be as wide .* 8, got 16"):
        block = fusion_block(16, num_heads=1, num_tokens=(2, 1, 1))
        AVEncoder(image=image, audio=audio, fusion=[block], num_tokens=4)
    with pytest.raises(ValueError, match="fusion must be 1 entries, got 2"):
        AVEncoder(image=image, audio=audio, fusion=[None, None], num_tokens=4)
    with pytest.raises(ValueError, match="num_tokens must be an integer, 0 or more, got -1"):
        AVEncoder(image=image, audio=audio, fusion=[None], num_tokens=-1)


def test_fusion_tokens_of_another_number() -> None:
    image, audio = (vit(8, depth=1, num_heads=2, size=8, patch=4, channels=c) for c in (3, 1))
    block = fusion_block(8, num_heads=1, num_tokens=(2, 1, 1))
    few = AVEncoder(image=image, audio=audio, fusion=[block], num_tokens=3)
    with pytest.raises(ValueError, match=r"fusion must have shape .*n_f=4.*, got \(1, 3, 8\)"):
        few(image=torch.zeros(1, 3, 8, 8), audio=torch.zeros(1, 1, 8, 8))


@pytest.mark.usefixtures("unchecked")
def test_compiles_as_one_graph() -> None:
    uneven = make("factorized", depth=(2, 1), fusion_layers=[0])
    encoder, given, hidden = uneven, inputs(), masks()
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    for extra in ({}, hidden):
        assert_close(together(compiled(**given, **extra)), together(encoder(**given, **extra)))
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@each
def test_compiles_for_real(fusion: str) -> None:
    encoder, given = make(fusion), inputs()
    compiled = torch.compile(encoder, fullgraph=True)
    assert_close(together(compiled(**given)), together(encoder(**given)))
    torch._dynamo.reset()


@pytest.mark.usefixtures("unchecked")
def test_exports() -> None:
    encoder, given = make("factorized").eval(), inputs()
    batch = {0: torch.export.Dim("batch", min=2, max=64)}
    program = torch.export.export(
        encoder, (), given, dynamic_shapes={"image": batch, "audio": batch}
    )
    other = {name: torch.cat((x, x[:1])) for name, x in given.items()}
    out = program.module()(**other)
    assert isinstance(out, AVTokens)
    assert_close(together(out), together(encoder(**other)))


@pytest.mark.parametrize("given", [np.zeros((1, 3, 32, 32), np.float32), [[0.0]], "a.jpg"])
def test_inputs_that_are_no_tensors_are_named(given: object, unchecked: None) -> None:
    encoder = av_vit(32, depth=1, num_heads=2, image_size=32, audio_size=(16, 16), patch=16)
    kind = f"{type(given).__module__}.{type(given).__name__}"
    with pytest.raises(TypeError, match=f"image is a {kind}: give a torch.Tensor"):
        encoder(image=given, audio=None)
    with pytest.raises(TypeError, match=f"audio is a {kind}: give a torch.Tensor"):
        av_mae(encoder, dim=16, depth=1, num_heads=2)(image=None, audio=given)
    with pytest.raises(TypeError, match=f"input is a {kind}"):
        encoder.image(given)
