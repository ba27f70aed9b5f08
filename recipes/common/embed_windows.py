"""Embed videos or the clips of a data set, window by window."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from avblocks.data import ClipError, window_times
from avblocks.data.datasets import ClipSet, Item
from avblocks.progress import progress_bar
from avblocks.seed import sample_seed
from avblocks.tasks import Embedding
from avblocks.video import open_windows
from recipes.common.data import Data
from recipes.common.embeddings import EmbeddingWriter
from recipes.common.loaders import test_loader


def embed_files(
    files: Sequence[Path],
    model: Embedding,
    writer: EmbeddingWriter,
    *,
    hop: float | None = None,
    batch: int = 16,
) -> int:
    """Embed the videos that are not in the index; return the number that cannot be used.

    Args:
        files: Videos.
        model: Encoder and front end.
        writer: Writer of the folder of embeddings.
        hop: Seconds from one window to the next; the length of a window if not given.
        batch: Windows per batch.
    """
    format, errors = model.front_end.format, 0
    samples = None if hop is None else round(hop * format.rate)
    for path in map(str, files):
        if path in writer.done:
            continue
        try:
            windows = open_windows(path, format, hop=samples)
            spans = enumerate(windows.spans)
            for some in windows.batches(batch, progress=path):
                about = {"path": path, "id": path}
                rows = [
                    about | {"window": str(n), "start": f"{start:.3f}", "end": f"{end:.3f}"}
                    for n, (start, end) in islice(spans, len(some))
                ]
                writer.add(model.features(some.to_batch().to(model.device)), rows)
            writer.end_clip()
        except ClipError as error:
            errors += 1
            writer.end_clip(keep=False)
            print(f"error: {error}", file=sys.stderr, flush=True)
    return errors


def embed_clips(
    clips: ClipSet,
    data: Data,
    model: Embedding,
    writer: EmbeddingWriter,
    *,
    batch: int,
    windows: int,
) -> int:
    """Embed evenly spaced windows of the clips that are not in the index; see `embed_files`."""
    items = [item for item in clips.items if not writer.has(item)]
    if not items:
        return 0
    clips = replace(clips, items=tuple(items))
    batch = max(batch // windows, 1) * windows  # whole clips
    loader = test_loader(clips, data, batch=batch, windows=windows)
    place = {sample_seed(0, 0, index): index for index in range(len(items) * windows)}
    skipped: set[str] = set()
    for one in progress_bar(loader, "embedding", unit="batch", leave=False):
        skipped |= {skip.path for skip in one.skipped}
        found = [divmod(place[seed], windows) for seed in one.seeds]
        rows = [
            {
                "path": items[clip].path,
                "id": items[clip].id,
                "window": str(window),
                "classes": "|".join(clips.classes[label] for label in items[clip].labels),
                **_times(items[clip], window, data, windows=windows),
            }
            for clip, window in found
        ]
        if rows:
            writer.add(model.features(one.to(model.device)), rows)
            writer.end_clip()
    for path in sorted(skipped):
        print(f"error: {path} cannot be used", file=sys.stderr)
    return len(skipped)


def _times(item: Item, window: int, data: Data, *, windows: int) -> dict[str, str]:
    """Return the start and end of a window of a video, as cells of the index."""
    spans = None
    if data.shards is None:
        spans = window_times(item, seconds=data.seconds, windows=windows)
    if spans is None:
        return {}
    start, end = spans[window]
    return {"start": f"{start:.3f}", "end": f"{end:.3f}"}
