"""Contrastive losses against their formulas, in one process and in two."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fresh import Fresh
from torch import Tensor
from torch.testing import assert_close

from avblocks.heads import contrast_loss, info_nce, max_mean_similarity

DIRECTIONS = {"image_to_audio": (1.0, 0.0), "audio_to_image": (0.0, 1.0), "both": (0.5, 0.5)}


def by_the_formula(image: Tensor, audio: Tensor, temperature: float, weights: Any) -> float:
    """The loss of plain numbers, pair by pair."""
    count = len(image)

    def similar(i: int, j: int) -> float:
        x, y = image[i].double(), audio[j].double()
        return float(x @ y / x.norm() / y.norm()) / temperature

    total = 0.0
    for i in range(count):
        row = math.log(sum(math.exp(similar(i, j)) for j in range(count)))
        column = math.log(sum(math.exp(similar(j, i)) for j in range(count)))
        total += weights[0] * (row - similar(i, i)) + weights[1] * (column - similar(i, i))
    return total / count


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_is_the_formula(direction: Any) -> None:
    image, audio = torch.randn(5, 7), 3 * torch.randn(5, 7)
    loss = info_nce(image, audio, temperature=0.2, direction=direction)
    assert_close(
        float(loss), by_the_formula(image, audio, 0.2, DIRECTIONS[direction]), rtol=1e-5, atol=0
    )


TWO = """
import os, sys
import torch
from torch import distributed
from avblocks.heads import info_nce

image, audio, folder = *torch.load(sys.argv[1]), sys.argv[2]
rank = 0 if os.fork() else 1
store = distributed.FileStore(folder + "/store", 2)
distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
mine = [x[2 * rank : 2 * rank + 2].clone().requires_grad_() for x in (image, audio)]
loss = info_nce(mine[0], mine[1], temperature=0.5)
loss.backward()
torch.save((loss.detach(), torch.stack([x.grad for x in mine])), f"{folder}/{rank}.pt")
distributed.barrier()
distributed.destroy_process_group()
if rank == 0:
    os.wait()
else:
    os._exit(0)
"""


def test_two_processes_have_the_loss_and_gradient_of_one(fresh: Fresh, tmp_path: Path) -> None:
    image, audio = torch.randn(4, 6, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    whole = info_nce(image, audio, temperature=0.5)
    whole.backward()
    torch.save([image.detach(), audio.detach()], tmp_path / "rows.pt")
    done = fresh(TWO, str(tmp_path / "rows.pt"), str(tmp_path))
    assert done.returncode == 0, done.stderr
    losses, grads = zip(*(torch.load(tmp_path / f"{rank}.pt") for rank in range(2)), strict=True)
    assert_close(torch.stack(losses).mean(), whole.detach())
    # DistributedDataParallel takes the mean over the processes.
    assert image.grad is not None and audio.grad is not None
    assert_close(torch.cat(grads, dim=1) / 2, torch.stack([image.grad, audio.grad]))


def test_local_similarity_is_the_formula() -> None:
    image, audio = torch.randn(3, 5, 4), torch.randn(2, 6, 4)
    for i, patches in enumerate(image):
        for j, sounds in enumerate(audio):
            best = [
                max(float(torch.cosine_similarity(p, s, dim=0)) for p in patches) for s in sounds
            ]
            found = max_mean_similarity(image, audio)[i, j]
            assert_close(float(found), sum(best) / len(best), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_refused() -> None:
    rows = torch.randn(3, 4)
    with pytest.raises(ValueError, match="temperature must be"):
        info_nce(rows, rows, temperature=0.0)
    with pytest.raises(ValueError, match=r"direction must be .*, got 'sideways'"):
        contrast_loss(rows[:, :3], rows[:, :3], direction="sideways")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="own must be of 3 clips, got 2"):
        contrast_loss(rows[:, :3], rows[:, :3], own=torch.ones(2))
    with pytest.raises(ValueError, match=r"audio must have shape"):
        info_nce(rows, rows[:2])


@pytest.mark.parametrize("own", [1.0, 0.0])
def test_whole_images_and_wholly_pasted_ones_are_the_usual_loss(own: float) -> None:
    to_audio, to_image = torch.randn(5, 5), torch.randn(5, 5)
    found = contrast_loss(to_audio, to_image, own=torch.full((5,), own))
    if not own:  # each image is the mirrored one
        to_audio, to_image = to_audio.flip(0), to_image.flip(1)
    assert_close(found, contrast_loss(to_audio, to_image))


def test_shares_of_images_weigh_the_matches() -> None:
    to_audio, to_image, own = torch.randn(4, 4), torch.randn(4, 4), torch.tensor([0.9, 0.5, 0.2, 1])
    image, audio = [], []
    for i in range(4):
        mirrored = 3 - i
        row, column = to_audio[i].log_softmax(0), to_image[i].log_softmax(0)
        image.append(own[i] * row[i] + (1 - own[i]) * row[mirrored])
        shows = own[i] + 1 - own[mirrored]
        audio.append((own[i] * column[i] + (1 - own[mirrored]) * column[mirrored]) / shows)
    assert_close(
        contrast_loss(to_audio, to_image, own=own, direction="image_to_audio"),
        -torch.stack(image).mean(),
    )
    assert_close(
        contrast_loss(to_audio, to_image, own=own, direction="audio_to_image"),
        -torch.stack(audio).mean(),
    )
