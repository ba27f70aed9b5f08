"""Decoders that only read: against a slow formula, alone, and in the autoencoder."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avblocks import Mask, RandomMask, av_mae, av_vit
from avblocks.flops import mae_flops
from avblocks.nn import LayerMixture
from avblocks.reading import ReadingDecoder

GRID = (4, 4)


def decoder(**options: int) -> ReadingDecoder:
    return ReadingDecoder(
        24, grid=GRID, patch_values=10, dim=16, depth=2, num_heads=4, **options
    ).eval()


def slowly(model: ReadingDecoder, query: Tensor, source: Tensor) -> Tensor:
    """One query of one sample, head by head."""
    for block in model.blocks:
        attn = block.cross_attn
        q = attn.q(block.norm1(query)).view(4, 4)
        k, v = (half.view(-1, 4, 4) for half in attn.kv(source).chunk(2, dim=-1))
        read = []
        for head in range(4):
            weights = torch.stack([q[head] @ key / 4**0.5 for key in k[:, head]]).softmax(dim=0)
            read.append(sum(w * value for w, value in zip(weights, v[:, head], strict=True)))
        query = query + attn.proj(torch.cat(read))
        query = query + block.mlp(block.norm2(query)[None, None])[0, 0]
    return model.pred(model.norm(query))


@torch.no_grad()
def test_is_the_formula_for_each_patch_alone() -> None:
    model, mask = decoder(), RandomMask(0.75)(GRID, batch=2)
    kept, fusion = torch.randn(2, 4, 24), torch.randn(2, 3, 24)
    pred = model(kept, fusion=fusion, mask=mask, grid=GRID)
    position = model.pos_embed(GRID)
    for sample in range(2):
        source = torch.cat((fusion[sample], kept[sample]))
        for place, index in enumerate(mask.ids_masked[sample]):
            query = model.mask_token[0, 0] + position[index]
            wanted = slowly(model, query, source)
            assert_close(pred[sample, place], wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_share_is_predicted_as_among_all() -> None:
    model, mask = decoder(), RandomMask(0.75)(GRID, batch=2)
    kept, fusion = torch.randn(2, 4, 24), torch.randn(2, 3, 24)
    part = mask.predicting(1 / 3, generator=torch.Generator().manual_seed(0))
    assert part.to_predict.shape == (2, 4)
    whole = model(kept, fusion=fusion, mask=mask, grid=GRID)
    some = model(kept, fusion=fusion, mask=part, grid=GRID)
    for sample in range(2):
        places = [mask.ids_masked[sample].tolist().index(i) for i in part.to_predict[sample]]
        assert_close(some[sample], whole[sample, places])


@torch.no_grad()
def test_blocks_read_mixtures_of_layers() -> None:
    model, mask = decoder(num_layers=3), RandomMask(0.75)(GRID, batch=2)
    layers = [torch.randn(2, 7, 24) for _ in range(3)]
    kept, fusion = layers[-1][:, 3:], layers[-1][:, :3]
    pred = model(kept, fusion=fusion, mask=mask, grid=GRID, layers=layers)
    assert model.mixture is not None
    weight, sums = model.mixture.linear.weight, []
    for row, norm in zip(weight, model.mixture.norms, strict=True):
        sums.append(norm(sum(w * x for w, x in zip(row, layers, strict=True))))
    queries = model.mask_token + model.pos_embed(GRID)[mask.ids_masked]
    assert_close(pred, model.read(queries, sums))
    with pytest.raises(ValueError, match="layers must be the mixture's 3, got 2"):
        LayerMixture(3, readers=1, dim=24)(layers[:2])


@torch.no_grad()
def test_padding_is_not_read() -> None:
    model, mask = decoder(), RandomMask(0.5)(GRID, batch=1)
    kept, fusion = torch.randn(1, 8, 24), torch.randn(1, 3, 24)
    valid = torch.ones(1, 16, dtype=torch.bool)
    valid[0, mask.ids_keep[0, 5:]] = False
    pred = model(kept, fusion=fusion, mask=mask, grid=GRID, valid=valid)
    kept[:, 5:] = 100.0
    assert_close(pred, model(kept, fusion=fusion, mask=mask, grid=GRID, valid=valid))


def test_the_autoencoder_predicts_a_share_in_training_and_all_in_evaluation() -> None:
    encoder = av_vit(32, depth=1, num_heads=2, image_size=32, audio_size=(32, 32), patch=8)
    model = av_mae(encoder, dim=16, depth=2, num_heads=2, decoder="reading", predict=1 / 3)
    given = {
        "image": torch.randn(2, 3, 32, 32),
        "audio": torch.randn(2, 1, 32, 32),
        "image_mask": RandomMask(0.75)((4, 4), batch=2),
        "audio_mask": RandomMask(0.75)((4, 4), batch=2),
    }
    out = model(**given)
    assert out.pred_image.shape == (2, 4, 192) and out.pred_audio.shape == (2, 4, 64)
    out.loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not torch.equal(out.loss_image, model(**given).loss_image), "drawn anew"
    assert model.eval()(**given).pred_image.shape == (2, 12, 192)
    part = mae_flops(model, image=(4, 4), audio=(4, 4))
    assert part < mae_flops(model, image=(4, 12), audio=(4, 12))
    with pytest.raises(ValueError, match="predict must be 1: the blocks of a Decoder"):
        av_mae(encoder, dim=16, depth=2, num_heads=2, predict=0.5)


def test_what_is_predicted_follows_each_samples_generator() -> None:
    mask = RandomMask(0.75)((8, 8), batch=3)
    draw = lambda seed: torch.Generator().manual_seed(seed)  # noqa: E731
    whole = mask.predicting(0.25, generator=[draw(seed) for seed in (1, 2, 3)])
    for row, seed in enumerate((1, 2, 3)):
        alone = Mask(mask.ids_keep[row : row + 1], mask.ids_masked[row : row + 1])
        part = alone.predicting(0.25, generator=[draw(seed)])
        assert torch.equal(whole.to_predict[row], part.to_predict[0])
    assert all(
        set(row.tolist()) <= set(own.tolist())
        for row, own in zip(whole.to_predict, mask.ids_masked, strict=True)
    )
    assert mask.predicting(1.0).ids_predicted is None
    with pytest.raises(ValueError, match="share must be in"):
        mask.predicting(0.0)
