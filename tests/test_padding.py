"""Padded tokens change nothing: a batch of two lengths equals each of its samples alone."""

import pytest
import torch
from public_models import DIM, Bottleneck, encoder
from slow import randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import (
    Attention,
    AVTokens,
    Block,
    CrossAttention,
    DenseFusion,
    FactorizedFusion,
    FusionBlock,
    RandomMask,
    TokenFusion,
    Valid,
    av_mae,
    valid_until,
)
from avblocks.heads import Localizer, classifier, separator
from avblocks.nn import attend, attention_weights

LENGTHS = torch.tensor([5, 3])
FUSIONS = {
    "token": lambda: TokenFusion(8, num_heads=2),
    "dense": lambda: DenseFusion(8, num_heads=2),
    "factorized": lambda: FactorizedFusion(8, num_heads=2, num_tokens=(2, 1, 1)),
}
each = pytest.mark.parametrize("fusion", FUSIONS)


def tokens(n: int) -> Tensor:
    return torch.randn(2, n, 8, dtype=torch.float64)


@pytest.mark.parametrize("context", [None, tokens(2)], ids=["alone", "with context"])
@pytest.mark.parametrize("kind", [Attention, Block])
def test_self_attention(kind: type, context: Tensor | None) -> None:
    part, x = randomize(kind(8, num_heads=2)), tokens(5)
    out = part(x, context=context, valid=valid_until(LENGTHS, grid=(5,)))
    for b, n in enumerate(LENGTHS.tolist()):
        own = None if context is None else context[b : b + 1]
        assert_close(out[b : b + 1, :n], part(x[b : b + 1, :n], context=own))


def test_cross_attention_and_its_weights() -> None:
    part, x, source = randomize(CrossAttention(8, num_heads=2)), tokens(3), tokens(5)
    valid = valid_until(LENGTHS, grid=(5,))
    out, weights = part(x, source, valid=valid), part.attention(x, source, valid=valid)
    assert_close(out[1:], part(x[1:], source[1:, :3]))
    assert_close(weights[1:, ..., :3], part.attention(x[1:], source[1:, :3]))
    assert not weights[1, ..., 3:].any()


def test_cross_attention_without_a_valid_source_is_zero() -> None:
    part, x, source = randomize(CrossAttention(8, num_heads=2)), tokens(3), tokens(5)
    out = part(x, source, valid=torch.tensor([[True] * 5, [False] * 5]))
    assert out[0].any() and not out[1].any()
    assert not part(x, None).any()


def test_where_no_key_is_valid_nothing_is_read() -> None:
    q, k = tokens(3).requires_grad_(), tokens(4).requires_grad_()
    valid = torch.tensor([[True] * 4, [False] * 4])
    out = attend(q, k, k, num_heads=2, valid=valid)
    assert not out[1].any() and out[0].any()
    out.square().sum().backward()
    assert not q.grad[1].any() and not k.grad[1].any() and q.grad[0].isfinite().all()
    weights = attention_weights(q, k, num_heads=2, valid=valid)
    assert not weights[1].any() and weights.isfinite().all()


@each
@pytest.mark.parametrize("lengths", [[5, 3], [5, 0]], ids=str)
def test_fusions(fusion: str, lengths: list[int]) -> None:
    """A sample without any valid token lacks the modality."""
    block = randomize(FusionBlock(8, interaction=FUSIONS[fusion]()))
    state, image, audio = tokens(4), tokens(6), tokens(5)
    valid = Valid(audio=valid_until(torch.tensor(lengths), grid=(5,)))
    out = block(state, image=image, audio=audio, valid=valid)
    seen = block.interaction.attention(state, image=image, audio=audio, valid=valid)
    for b, n in enumerate(lengths):
        one = slice(b, b + 1)
        own = audio[one, :n] if n else None
        assert_close(out[one], block(state[one], image=image[one], audio=own))
        alone = block.interaction.attention(state[one], image=image[one], audio=own)
        assert_close(seen.image[one], alone.image)
        assert not seen.audio[one, ..., n:].any()
        if n:
            assert_close(seen.audio[one, ..., :n], alone.audio)


@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
@pytest.mark.parametrize("prefix", [0, 2])
def test_encoder_of_spectrograms_of_two_lengths(fusion: str, prefix: int) -> None:
    model = randomize(encoder(fusion))
    if prefix:
        model.audio.num_prefix = prefix
        model.audio.prefix_tokens = torch.nn.Parameter(torch.randn(1, prefix, DIM).double())
    image, audio = torch.randn(2, 3, 16, 16).double(), torch.randn(2, 1, 16, 24).double()
    valid = valid_until(torch.tensor([3, 2]), grid=(2, 3))
    out = model(image=image, audio=audio, audio_valid=valid)
    # The positions of a table are those of the whole grid: so embed the whole, and drop tokens.
    ids = torch.tensor([[0, 1, 3, 4]])
    short = RandomMask(0.5)((2, 3), batch=1)
    short = type(short)(ids, torch.tensor([[2, 5]]))
    alone = model(image=image[1:], audio=audio[1:], audio_mask=short)
    assert_close(out.fusion[1:], alone.fusion)
    assert_close(out.image[1:], alone.image)
    assert_close(out.audio[1:][:, ids[0]], alone.audio)
    whole = model(image=image[:1], audio=audio[:1])
    assert_close(out.audio[:1], whole.audio)
    assert out.audio_valid is not None and out.image_valid is None
    assert (out.audio_prefix is None) == (prefix == 0)


@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
@pytest.mark.parametrize("prefix", [0, 2])
def test_samples_that_lack_a_modality(fusion: str, prefix: int) -> None:
    """Also its prefix tokens, such as a class token, are not read."""
    model = randomize(encoder(fusion))
    if prefix:
        model.audio.num_prefix = prefix
        model.audio.prefix_tokens = torch.nn.Parameter(torch.randn(1, prefix, DIM).double())
    image, audio = torch.randn(2, 3, 16, 16).double(), torch.randn(2, 1, 16, 24).double()
    out = model(image=image, audio=audio, audio_valid=torch.tensor([True, False]))
    both, alone = model(image=image[:1], audio=audio[:1]), model(image=image[1:], audio=None)
    assert_close(torch.cat((both.fusion, alone.fusion)), out.fusion)
    assert_close(torch.cat((both.image, alone.image)), out.image)
    head = randomize(classifier(DIM, num_classes=3, pooling="attentive", num_heads=2)).eval()
    logits = head(out)
    assert_close(logits.mean, torch.cat((head(both).mean, head(alone).mean)))


def test_heads_leave_padding_out() -> None:
    valid = valid_until(torch.tensor([5, 3]), grid=(5,))
    image, audio = torch.randn(2, 4, DIM).double(), torch.randn(2, 5, DIM).double()
    state = torch.randn(2, 2, DIM).double()
    padded = AVTokens(image=image, audio=audio, fusion=state, audio_valid=valid)
    alone = AVTokens(image=image[1:], audio=audio[1:, :3], fusion=state[1:])
    for pooling in ("mean", "attentive"):
        head = randomize(classifier(DIM, num_classes=3, pooling=pooling, num_heads=2)).eval()
        assert_close(head(padded).audio[1:], head(alone).audio)
    localize = randomize(Localizer(DIM, dim_out=8))
    short = localize(image=image[1:], audio=audio[1:, :3])
    assert_close(localize(image=image, audio=audio, audio_valid=valid)[1:], short)
    grid, own = (2, 2), torch.randn(2, 4, DIM).double()
    separate = randomize(separator(DIM, patch=2, num_layers=2)).eval()
    keep = valid_until(torch.tensor([4, 2]), grid=(4,))
    layers = [AVTokens(image=image, audio=own, fusion=state, image_valid=keep)] * 2
    fewer = [AVTokens(image=image[1:, :2], audio=own[1:], fusion=state[1:])] * 2
    assert_close(separate(layers, grid=grid)[1:], separate(fewer, grid=grid))


def test_a_masked_autoencoder_learns_nothing_from_what_is_missing() -> None:
    model = randomize(av_mae(encoder(), dim=16, depth=2, num_heads=2))
    image, audio = torch.randn(2, 3, 16, 16).double(), torch.randn(2, 1, 16, 24).double()
    masks = {"image_mask": RandomMask(0.5)((2, 2), batch=2)}
    masks |= {"audio_mask": RandomMask(0.5)((2, 3), batch=2)}
    has = torch.tensor([True, False])
    out = model(image=image, audio=audio, **masks, audio_valid=has)
    one = {k: type(m)(m.ids_keep[:1], m.ids_masked[:1]) for k, m in masks.items()}
    two = type(masks["image_mask"])(
        masks["image_mask"].ids_keep[1:], masks["image_mask"].ids_masked[1:]
    )
    both = model(image=image[:1], audio=audio[:1], **one)
    alone = model(image=image[1:], audio=None, image_mask=two)
    assert_close(out.loss_audio, both.loss_audio)
    assert_close(out.loss_image, (both.loss_image + alone.loss_image) / 2)
    assert alone.loss_audio is None and alone.pred_audio is None
    assert alone.loss is alone.loss_image or torch.equal(alone.loss, alone.loss_image)
    audio[1] = 9.0
    changed = model(image=image, audio=audio, **masks, audio_valid=has)
    assert torch.equal(changed.loss, out.loss)
    none = model(image=image, audio=audio, **masks, audio_valid=torch.tensor([False, False]))
    assert none.loss_audio == 0


@pytest.mark.usefixtures("unchecked")
def test_misfits() -> None:
    model, image = encoder(), torch.randn(2, 3, 16, 16)
    with pytest.raises(ValueError, match=r"valid must have shape \(b=2, n=4\), got \(2, 3\)"):
        model(image=image, audio=None, image_valid=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"valid must have shape \(b=2, n=4\), got \(3, 4\)"):
        model(image=image, audio=None, image_valid=torch.ones(3, dtype=torch.bool))
    mae = av_mae(encoder(), dim=16, depth=1, num_heads=2)
    with pytest.raises(ValueError, match="image_mask must be given"):
        mae(image=image, audio=None)


def test_a_fusion_that_knows_no_padding_is_not_asked_to_without() -> None:
    model = encoder(Bottleneck, num_tokens=(3,))
    assert model(image=torch.randn(2, 3, 16, 16), audio=None).audio is None
