"""Where the sound comes from: against loops, and that the loss asks for the right thing."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from slow import assert_same, randomize
from torch import Tensor
from torch.testing import assert_close

from avblocks import AVEncoder, av_vit
from avblocks.heads import Localizer, fusion_map, localization_loss, to_frame

small = st.integers(1, 4)


def tokens(b: int, n: int) -> Tensor:
    return torch.randn(b, n, 8, dtype=torch.float64, requires_grad=True)


def slow_pairs(head: Localizer, image: Tensor, audio: Tensor) -> Tensor:
    def direction(proj: torch.nn.Linear, token: Tensor) -> Tensor:
        out = proj.weight @ token + proj.bias
        return out / out.square().sum().sqrt()

    sounds = [direction(head.audio_proj, sum(sound) / len(sound)) for sound in audio]
    rows = [[direction(head.image_proj, token) for token in tokens] for tokens in image]
    return torch.stack(
        [torch.stack([torch.stack([p @ s for p in r]) for s in sounds]) for r in rows]
    )


def slow_loss(similarity: Tensor, temperature: float) -> Tensor:
    best = [[cell.max() / temperature for cell in row] for row in similarity]
    losses = []
    for i in range(len(best)):
        row = sum(x.exp() for x in best[i])
        column = sum(r[i].exp() for r in best)
        losses += [-torch.log(best[i][i].exp() / total) for total in (row, column)]
    return sum(losses) / len(losses)


def test_batch_norm_norms_all_patches_and_all_sounds() -> None:
    head, plain = Localizer(8, dim_out=5, batch_norm=True).double(), Localizer(8, dim_out=5)
    plain.double().load_state_dict({k: v for k, v in head.state_dict().items() if "norm" not in k})
    image, audio = 3 * tokens(4, 6) + 1, tokens(4, 3) - 2

    def normed(x: Tensor) -> Tensor:
        rows = x.reshape(-1, 8)
        return ((rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-6).sqrt()).view(x.shape)

    wanted = plain.pairs(image=normed(image), audio=normed(audio.mean(1, keepdim=True)))
    assert_close(head.pairs(image=image, audio=audio), wanted)
    # What evaluation norms with was learnt from the batches before.
    assert not torch.equal(head.eval().pairs(image=image, audio=audio), wanted)


@given(st.integers(2, 4), small, small, st.sampled_from((0.1, 1.0)))
def test_equals_loops(b: int, n_v: int, n_a: int, temperature: float) -> None:
    head = randomize(Localizer(8, dim_out=5))
    image, audio = tokens(b, n_v), tokens(b, n_a)
    wanted = slow_pairs(head, image, audio)
    leaves = [image, audio, *head.parameters()]
    assert_same(head.pairs(image=image, audio=audio), wanted, leaves)
    wanted = slow_pairs(head, image, audio)
    own = wanted[range(b), range(b)]
    assert_same(head(image=image, audio=audio), own, leaves)
    assert own.abs().max() <= 1
    # The loss is taken in single precision whatever comes in.
    loss = localization_loss(wanted, temperature=temperature)
    assert_close(loss.double(), slow_loss(wanted, temperature), rtol=1e-5, atol=1e-5)


def test_loss_of_known_similarities() -> None:
    nothing = torch.zeros(4, 4, 6)
    assert_close(localization_loss(nothing), torch.tensor(math.log(4)))
    perfect = nothing.clone()
    perfect[range(4), range(4), range(4)] = 1  # One patch of each pair is enough.
    assert localization_loss(perfect) < 1e-6
    assert localization_loss(perfect.roll(1, dims=0)) > 10
    # Both directions count: one sound that fits every image, one image that fits every sound.
    for axis in (0, 1):
        greedy = perfect.clone()
        greedy.select(axis, 0)[..., 0] = 1
        assert localization_loss(greedy) > 0.5 * math.log(4) / 2


def test_audio_without_an_image_and_alike_audio_equal_loops() -> None:
    similarity = torch.rand(4, 6, 5, dtype=torch.float64)  # two signals of silence or noise
    relations = torch.tensor([[1, 1, 0, -1], [1, 1, -1, -1], [0, -1, 1, -1], [-1, -1, -1, 1]])
    best, losses = similarity.float().amax(dim=2) / 0.5, []
    for i in range(4):
        known = [j for j in range(4) if relations[i, j] != 0]
        row = sum(best[i, j].exp() for j in (*known, 4, 5))
        column = sum(best[j, i].exp() for j in known)
        alike = [j for j in range(4) if relations[i, j] == 1]
        losses += [sum(-torch.log(best[i, j].exp() / row) for j in alike) / len(alike)]
        losses += [sum(-torch.log(best[j, i].exp() / column) for j in alike) / len(alike)]
    loss = localization_loss(similarity, temperature=0.5, relations=relations.to(torch.int8))
    assert_close(loss, sum(losses) / len(losses))
    alone = localization_loss(similarity, temperature=0.5)
    only = localization_loss(
        similarity, temperature=0.5, relations=(2 * torch.eye(4) - 1).to(torch.int8)
    )
    assert_close(alone, only)


def test_an_mlp_projects_mean_and_deviation_of_valid_tokens() -> None:
    head, audio = Localizer(8, dim_out=5, hidden=7).double(), tokens(3, 4)
    valid = torch.tensor([[True] * 4, [True, True, False, True], [False, True, False, False]])
    for sound, kept, found in zip(audio, valid, head.embed_audio(audio, valid=valid), strict=True):
        pooled = torch.cat((sound[kept].mean(0), sound[kept].std(0, correction=0)))
        first, _, last = head.audio_proj
        out = last.weight @ F.gelu(first.weight @ pooled + first.bias) + last.bias
        assert_close(found, out / out.norm(), atol=1e-6, rtol=1e-6)
    head.embed_audio(audio[:, :1]).sum().backward()  # one token has no deviation
    assert audio.grad is not None and audio.grad.isfinite().all()
    with pytest.raises(ValueError, match="hidden"):
        Localizer(8, hidden=-1)


def test_the_average_audio_is_subtracted_and_older_heads_have_none() -> None:
    head, image, audio = Localizer(8, dim_out=5).double(), tokens(3, 4), tokens(3, 2)
    own = head.pairs(image=image, audio=audio)[range(3), range(3)]
    assert_close(head(image=image, audio=audio), own)
    older = {name: value for name, value in head.state_dict().items() if name != "center"}
    sounds, negatives = head.embed_audio(audio), head.embed_audio(tokens(2, 2))
    head.track(sounds, negatives, momentum=1.0)
    assert_close(head.center, (sounds.mean(0) + negatives.mean(0)) / 2)
    assert_close(head.pairs(image=image, audio=audio)[range(3), range(3)], own)
    lower = head(image=image, audio=audio)
    assert_close(lower, own - head.embed_image(image) @ head.center)
    head.load_state_dict(older)
    assert not head.center.any()


def test_loss_pulls_at_the_best_patches_alone() -> None:
    similarity = torch.rand(3, 3, 5, requires_grad=True)
    localization_loss(similarity, temperature=1.0).backward()
    touched = similarity.grad != 0
    assert torch.equal(touched, F.one_hot(similarity.argmax(-1), 5).bool())
    own = torch.eye(3, dtype=torch.bool)[:, :, None].expand_as(touched)
    assert (similarity.grad[touched & own] < 0).all()
    assert (similarity.grad[touched & ~own] > 0).all()


def test_order_and_length_of_tokens() -> None:
    head, image, audio = randomize(Localizer(8, dim_out=4)), tokens(3, 5), tokens(3, 4)
    out = head(image=image, audio=audio)
    order = torch.tensor([4, 2, 0, 1, 3])
    assert_close(head(image=image[:, order], audio=audio.flip(1)), out[:, order])
    assert_close(head(image=image.flip(0), audio=audio.flip(0)), out.flip(0))


def test_learns_which_patch_sounds() -> None:
    """Sound k comes with a patch of look k at a random place, among patches of other looks."""
    random = torch.Generator().manual_seed(0)
    looks, sounds = torch.randn(6, 8, generator=random), torch.randn(6, 8, generator=random)
    head = Localizer(8, dim_out=8)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)

    def clips() -> tuple[Tensor, Tensor, Tensor]:
        kinds, place = torch.arange(6), torch.randint(4, (6,), generator=random)
        image = torch.randn(6, 4, 8, generator=random)
        image[kinds, place] = looks[kinds]
        return image, sounds[kinds][:, None], place

    for _ in range(150):
        image, audio, _ = clips()
        optimizer.zero_grad()
        localization_loss(head.pairs(image=image, audio=audio), temperature=0.1).backward()
        optimizer.step()
    found = []
    for _ in range(10):
        image, audio, place = clips()
        found.append((head(image=image, audio=audio).argmax(-1) == place).float().mean())
    assert sum(found) / len(found) > 0.75, "chance is 0.25"


@given(st.tuples(small, small), st.integers(1, 3))
def test_to_frame_keeps_the_middles_of_patches(grid: tuple[int, int], b: int) -> None:
    patches = torch.randn(b, grid[0] * grid[1])
    frame = to_frame(patches, grid=grid, size=(3 * grid[0], 3 * grid[1]))
    assert_close(frame[:, 1::3, 1::3].flatten(1), patches)
    assert frame.amin() >= patches.amin() - 1e-6 and frame.amax() <= patches.amax() + 1e-6
    assert_close(to_frame(patches, grid=grid, size=grid).flatten(1), patches)
    assert to_frame(patches, grid=grid, size=7).shape == (b, 7, 7)


def make(fusion: str) -> AVEncoder:
    encoder = av_vit(
        8,
        depth=3,
        num_heads=2,
        image_size=32,
        audio_size=(16, 32),
        fusion=fusion,
        fusion_layers=[0, 2],
        num_tokens=(3, 2, 1),
    )
    torch.nn.init.normal_(encoder.fusion_tokens)
    return encoder


@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
def test_fusion_map_is_what_the_layer_looks_at(fusion: str) -> None:
    encoder = make(fusion)
    image, audio = torch.randn(2, 3, 32, 32), torch.randn(2, 1, 16, 32)
    maps = fusion_map(encoder, image=image, audio=audio, layer=2)
    before = encoder.intermediates(image=image, audio=audio)[1]
    block = encoder.fusion_blocks["2"]
    seen = block.attention(before.fusion, image=before.image, audio=before.audio).image
    assert_close(maps, seen.flatten(1, 2).mean(1))
    other = fusion_map(encoder, image=image, audio=audio.flip(0), layer=2)
    silent = fusion_map(encoder, image=image, audio=None, layer=2)
    assert not torch.allclose(maps, other) and not torch.allclose(maps, silent)


def test_fusion_map_of_the_first_layer() -> None:
    image, audio = torch.randn(2, 3, 32, 32), torch.randn(2, 1, 16, 32)
    for fusion in ("dense", "factorized"):
        encoder = make(fusion)
        deaf = fusion_map(encoder, image=image, audio=audio.flip(0), layer=0)
        assert_close(fusion_map(encoder, image=image, audio=audio, layer=0), deaf)
    with pytest.raises(ValueError, match=r"layer must be one of the layers with fusion, \[0, 2\]"):
        fusion_map(encoder, image=image, audio=audio, layer=1)


@pytest.mark.usefixtures("unchecked")
def test_bad_values_are_refused() -> None:
    head, right = Localizer(8), torch.zeros(2, 3, 8)
    for call in (head, head.pairs):
        with pytest.raises(ValueError, match="image must have shape"):
            call(image=torch.zeros(2, 3, 4), audio=right)
        with pytest.raises(ValueError, match="audio must have shape"):
            call(image=right, audio=torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="audio must have shape"):
        head(image=right, audio=torch.zeros(1, 3, 8))
    for numbers in ({"dim": 0}, {"dim": 8, "dim_out": 0}):
        with pytest.raises(ValueError, match="positive"):
            Localizer(numbers.pop("dim"), **numbers)
    with pytest.raises(ValueError, match="temperature"):
        localization_loss(torch.zeros(2, 2, 3), temperature=0.0)
    with pytest.raises(ValueError, match="at least two clips"):
        localization_loss(torch.zeros(1, 1, 3))
    with pytest.raises(ValueError, match="audio for each image"):
        localization_loss(torch.zeros(3, 2, 3))
    with pytest.raises(ValueError, match="relations must have shape"):
        localization_loss(torch.zeros(2, 2, 3), relations=torch.ones(3, 3, dtype=torch.int8))
    with pytest.raises(ValueError, match="patches must have shape"):
        to_frame(torch.zeros(2, 5), grid=(2, 2), size=8)
    with pytest.raises(ValueError, match="size"):
        to_frame(torch.zeros(2, 4), grid=(2, 2), size=0)


@pytest.mark.usefixtures("unchecked")
def test_compiles_as_one_graph() -> None:
    head = Localizer(8, dim_out=4)

    def step(image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        own = to_frame(head(image=image, audio=audio), grid=(2, 2), size=8)
        return localization_loss(head.pairs(image=image, audio=audio)), own

    given = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for ours, wanted in zip(compiled(*given), step(*given), strict=True):
        assert_close(ours, wanted)
