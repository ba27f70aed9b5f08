"""The clips of a folder that are most similar to a video, by the features of an encoder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from avblocks.data import ClipFormat
from avblocks.data.datasets import folder as list_folder
from avblocks.tasks import Embedding
from avblocks.video import VideoWindows, make_overlay, video_size, write_overlays
from recipes.common.embed_windows import embed_files
from recipes.common.embeddings import EmbeddingWriter, load_embeddings
from recipes.common.runs import load_encoder_run
from recipes.predict.together import report
from recipes.predict.trained import find_device
from recipes.retrieve import clip_means

By = Literal["fusion", "image", "audio"]
"""Image and audio together, the image alone, or the audio alone."""


@dataclass(frozen=True)
class Neighbor:
    """A clip of the folder, and the cosine similarity of its features to those of the video."""

    path: Path
    name: str
    similarity: float


class NearestClips:
    """Features of the clips of a folder, computed at the start.

    A file that cannot be used is reported and left out.

    Args:
        checkpoint: A run, a checkpoint in one, or an exported folder.
        folder: Folder of videos, at any depth.
        cache: Folder for the features and for copies of clips that browsers can play.
        count: Clips to find.
        batch: Windows in a batch.
        max_seconds: Longest part of a clip that is copied.
        device: Device; by default a GPU if there is one.

    Raises:
        ValueError: If the checkpoint or all files of the folder cannot be used.
    """

    def __init__(
        self,
        checkpoint: Path,
        folder: Path,
        *,
        cache: Path,
        count: int = 3,
        batch: int = 8,
        max_seconds: float = 60.0,
        device: str | None = None,
    ) -> None:
        self.checkpoint, self.folder, self.cache = checkpoint, folder, cache
        self.count, self.batch, self.max_seconds = count, batch, max_seconds
        encoder, front_end = load_encoder_run(checkpoint)
        self.model = Embedding(encoder, front_end=front_end, apart=True)
        self.model.to(find_device(device)).eval()
        files = [Path(item.path) for item in list_folder(folder).items]
        with EmbeddingWriter(cache / "features") as writer:
            self.errors = embed_files(files, self.model, writer, batch=batch)
        if self.errors == len(files):
            raise ValueError(f"--folder {folder}: none of its {len(files)} videos can be used")
        streams, rows = load_embeddings(cache / "features")
        streams = _with_fusion(streams)
        ids = [row["id"] for row in rows]
        self.paths = [Path(path) for path in dict.fromkeys(ids)]
        self.features = {
            name: F.normalize(clip_means(values, ids, list(map(str, self.paths))), dim=1)
            for name, values in streams.items()
        }

    @property
    def format(self) -> ClipFormat:
        """The clip format of the encoder."""
        return self.model.front_end.format

    def find(
        self, windows: VideoWindows, *, by: By, on_batch: Callable[[int, int], None]
    ) -> list[Neighbor]:
        """Return the most similar clips to the mean of some windows, the nearest one first.

        Raises:
            ClipError: If the video cannot be decoded.
        """
        (stream,) = report([windows.batches(self.batch)], on_batch, total=len(windows))
        found: list[Tensor] = []
        for batch in stream:
            features = self.model.features(batch.to_batch().to(self.model.device))
            found.append(_with_fusion(features)[by].float().cpu())
        query = F.normalize(torch.cat(found).mean(dim=0), dim=0)
        scores = self.features[by] @ query
        best = scores.topk(min(self.count, len(self.paths)))
        return [
            Neighbor(
                path=self.paths[index],
                name=self.paths[index].relative_to(self.folder).as_posix(),
                similarity=value,
            )
            for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def copy(self, neighbor: Neighbor) -> Path:
        """Return a copy of a clip that browsers can play, in the cache; made once."""
        out = self.cache / "clips" / f"{sha256(str(neighbor.path).encode()).hexdigest()[:24]}.mp4"
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            same = make_overlay(lambda images: images, video_size(neighbor.path))
            part = (0.0, self.max_seconds)
            write_overlays(neighbor.path, {out: [(inf, same)]}, part=part)
        return out


def _with_fusion(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add features of image and audio together, if the encoder has no fusion tokens."""
    both = torch.cat([F.normalize(features[name], dim=1) for name in ("image", "audio")], dim=1)
    return {"fusion": both, **features}
