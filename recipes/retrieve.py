r"""Retrieval between images and audio: R@1, R@5, R@10 and median rank in both directions.

Commands:
    python -m recipes.retrieve --embeddings DIR
    python -m recipes.retrieve --embeddings DIR --list FILE         (the clips of a published list)

    DIR is the output of `python -m recipes.embed --apart`: if image and audio are encoded together,
    each depends on the other, and retrieval is trivial.

Prints a table, and writes retrieval.json to DIR. Windows of a clip are averaged. Each clip has one
rank among all clips, with ties counted half; the script of CAV-MAE counts a clip with ties more
than once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from avblocks.data.datasets.disk import read_ids
from avblocks.jsonfile import write_json
from avblocks.metrics import retrieval_scores
from recipes.common.cli import run_options
from recipes.common.embeddings import load_embeddings, read_settings
from recipes.common.scores import score_table


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    embeddings: Path | None = None
    """Folder of recipes.embed."""

    list: Path | None = None
    """csv with the ids of the clips to compare in its first column; all clips if not given."""


def main(config: Config) -> None:
    """Compare each image with all audio and each audio with all images."""
    if config.embeddings is None:
        raise ValueError("give --embeddings DIR, a folder of python -m recipes.embed --apart")
    features, rows = load_embeddings(config.embeddings)
    settings = read_settings(config.embeddings)
    if settings is not None and not settings.get("apart"):
        raise ValueError(
            f"{config.embeddings} holds embeddings of image and audio together, which each depend "
            "on the other: embed with --apart, into another folder"
        )
    if settings is None:
        print("note: these embeddings do not say whether image and audio are encoded apart")
    if any(features[name].ndim != 2 for name in ("image", "audio")):
        raise ValueError(f"{config.embeddings} holds all tokens: embed with --pooling mean")
    ids = [row["id"] for row in rows]
    wanted = list(dict.fromkeys(ids) if config.list is None else read_ids(config.list))
    lost = sorted(set(wanted) - set(ids))
    if not wanted:
        raise ValueError(f"{config.list} lists no clip")
    if lost:
        raise ValueError(f"{config.list}: {len(lost)} clips are not embedded, such as {lost[0]}")
    image, audio = (clip_means(features[name], ids, wanted) for name in ("image", "audio"))
    scores = retrieval_scores(F.normalize(image, dim=1) @ F.normalize(audio, dim=1).T)
    content = {"clips": len(wanted), "scores": scores}
    write_json(config.embeddings / "retrieval.json", content)
    print(score_table(scores))
    print(f"in {config.embeddings}: retrieval.json, of {len(wanted)} clips")


def clip_means(features: Tensor, ids: Sequence[str], wanted: Sequence[str]) -> Tensor:
    """Return the mean over the windows of each wanted clip.

    >>> clip_means(torch.tensor([[1.0], [3.0], [5.0]]), ["a", "a", "b"], ["b", "a"])
    tensor([[5.],
            [2.]])
    """
    place = {name: number for number, name in enumerate(wanted)}
    chosen = [row for row, name in enumerate(ids) if name in place]
    target = torch.tensor([place[ids[row]] for row in chosen])
    total = torch.zeros(len(wanted), features.shape[1]).index_add_(
        0, target, features[chosen].float()
    )
    return total / torch.bincount(target, minlength=len(wanted))[:, None]


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)
