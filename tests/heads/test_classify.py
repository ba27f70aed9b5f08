"""The three heads, against the reference's order of operations written out."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from avblocks import AVTokens, av_vit
from avblocks.heads import AttentivePool, Classifier, Logits, MeanPool, StreamHead, classifier

STREAMS = ("image", "audio", "fusion")


def tokens(b: int, d: int = 8, **gone: None) -> AVTokens:
    counts = {"image": 4, "audio": 3, "fusion": 2}
    drawn = {name: torch.randn(b, n, d) for name, n in counts.items()}
    return AVTokens(**(drawn | gone))


def test_batch_norm_uses_the_batch_in_training_and_its_memory_after() -> None:
    head, x = classifier(8, num_classes=5), tokens(6)
    out = head(x)
    for name in STREAMS:
        pooled = getattr(x, name).mean(dim=1)
        mean, variance = pooled.mean(dim=0), pooled.var(dim=0, unbiased=False)
        linear = getattr(head, name).linear
        normed = (pooled - mean) / (variance + 1e-6).sqrt()
        assert_close(getattr(out, name), normed @ linear.weight.T + linear.bias)
        norm = getattr(head, name).norm
        assert_close(norm.running_mean, 0.1 * mean)
        assert norm.eps == 1e-6 and not list(norm.parameters())
    head.eval()
    for name in STREAMS:
        norm, linear = getattr(head, name).norm, getattr(head, name).linear
        pooled = getattr(x, name).mean(dim=1)
        normed = (pooled - norm.running_mean) / (norm.running_var + 1e-6).sqrt()
        assert_close(getattr(head(x), name), normed @ linear.weight.T + linear.bias)


@given(st.integers(1, 5), st.integers(1, 6))
def test_without_batch_norm_samples_are_alone(b: int, classes: int) -> None:
    head, x = classifier(8, num_classes=classes, batch_norm=False), tokens(b)
    out, order = head(x), torch.randperm(b)
    shuffled = head(AVTokens(**{name: getattr(x, name)[order] for name in STREAMS}))
    for name in (*STREAMS, "mean"):
        assert getattr(out, name).shape == (b, classes)
        assert_close(getattr(shuffled, name), getattr(out, name)[order])


@given(st.sampled_from([(), ("image",), ("audio",), ("image", "audio")]))
def test_a_missing_stream_is_none_and_changes_no_other(gone: tuple[str, ...]) -> None:
    head, x = classifier(8, num_classes=5).eval(), tokens(2)
    whole = head(x)
    part = head(AVTokens(**{n: None if n in gone else getattr(x, n) for n in STREAMS}))
    there = [name for name in STREAMS if name not in gone]
    for name in STREAMS:
        stream = getattr(part, name)
        assert stream is None if name in gone else torch.equal(stream, getattr(whole, name))
    assert_close(part.mean, sum(getattr(whole, name) for name in there) / len(there))


def test_initialisation_is_the_references() -> None:
    for head in (classifier(300, num_classes=100).image, classifier(300, num_classes=100).fusion):
        bound = (6 / 400) ** 0.5
        assert 0.99 * bound < head.linear.weight.abs().max() <= bound
        assert head.linear.weight.var().item() == pytest.approx(bound**2 / 3, rel=0.05)
        assert (head.linear.bias == 0).all()


def test_parts_of_the_builder() -> None:
    probe = classifier(8, num_classes=5, pooling="attentive", num_heads=2, batch_norm=False)
    pools = [getattr(probe, name).pool for name in STREAMS]
    assert all(isinstance(pool, AttentivePool) for pool in pools)
    assert len({id(pool) for pool in pools}) == 3
    plain = classifier(8, num_classes=5).audio
    assert isinstance(plain.pool, MeanPool) and isinstance(plain.norm, nn.BatchNorm1d)
    assert sum(p.numel() for p in classifier(8, num_classes=5).parameters()) == 3 * (8 + 1) * 5


def test_gradients_reach_every_head_through_the_mean() -> None:
    head = classifier(8, num_classes=5, pooling="attentive", num_heads=2)
    head(tokens(4)).mean[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    assert all(getattr(head, name).linear.weight.grad[0].norm() > 0 for name in STREAMS)


def stream(classes: int) -> StreamHead:
    return StreamHead(pool=MeanPool(), norm=nn.Identity(), linear=nn.Linear(8, classes))


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"classes must be the same in each head"):
        Classifier(image=stream(5), audio=stream(5), fusion=stream(4))
    for wrong in ({"num_classes": 0}, {"dim": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            classifier(**({"dim": 8, "num_classes": 5} | wrong))
    with pytest.raises(ValueError, match="num_heads must be a divisor"):
        classifier(8, num_classes=5, pooling="attentive", num_heads=3)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_pooling_and_streams_of_other_widths() -> None:
    with pytest.raises(ValueError, match="pooling must be one of"):
        classifier(8, num_classes=5, pooling="max")
    for batch_norm in (True, False):
        with pytest.raises(ValueError, match=r"pooled tokens must have shape \(b, d=8\)"):
            classifier(8, num_classes=5, batch_norm=batch_norm)(tokens(2, d=4))


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = {"image_size": 8, "audio_size": (8, 8), "fusion_layers": "none"}
        self.encoder = av_vit(8, depth=1, num_heads=2, patch=4, **sizes)
        self.head = classifier(8, num_classes=5, pooling="attentive", num_heads=2)

    def forward(self, image: Tensor, audio: Tensor) -> Logits:
        return self.head(self.encoder(image=image, audio=audio))


class Cosine(nn.Module):
    """Cosine similarities to a vector for each class."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.in_features, self.out_features = dim, classes
        self.weight = nn.Parameter(torch.randn(classes, dim))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.cosine_similarity(x[:, None], self.weight, dim=-1)


@pytest.mark.usefixtures("unchecked")
def test_a_last_layer_and_a_head_of_ones_own() -> None:
    cosine = Cosine(8, 5)
    before, x = cosine.weight.detach().clone(), tokens(3)
    head = StreamHead(pool=MeanPool(), norm=nn.Identity(), linear=cosine)
    assert torch.equal(cosine.weight, before)
    out = Classifier(image=head, audio=head, fusion=head)(x)
    assert x.fusion is not None
    assert_close(out.fusion, cosine(x.fusion.mean(dim=1)))
    with pytest.raises(ValueError, match=r"linear must be .* `in_features`, got 'Sequential'"):
        StreamHead(pool=MeanPool(), norm=nn.Identity(), linear=nn.Sequential(nn.Linear(8, 5)))
    own: Any = nn.Identity()
    with pytest.raises(ValueError, match="audio must be a module with `num_classes`, got 'Ident"):
        Classifier(image=head, audio=own, fusion=head)


@pytest.mark.usefixtures("unchecked")
def test_compiles_and_exports() -> None:
    model, inputs = Whole().eval(), (torch.randn(2, 3, 8, 8), torch.randn(2, 1, 8, 8))
    expected = model(*inputs)
    compiled = torch.compile(model, fullgraph=True, backend="eager")(*inputs)
    exported = torch.export.export(model, inputs).module()(*inputs)
    for name in STREAMS:
        assert_close(getattr(compiled, name), getattr(expected, name))
        assert_close(getattr(exported, name), getattr(expected, name))
    assert isinstance(exported, Logits)
