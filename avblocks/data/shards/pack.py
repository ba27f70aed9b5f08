"""Pack the clips of one split into tar files."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from avblocks.data.batch import Skipped
from avblocks.data.clip import ClipError
from avblocks.data.dataset import TooManySkippedError
from avblocks.data.datasets.clipset import ClipSet
from avblocks.data.shards.encode import ShardSettings
from avblocks.data.shards.files import write_json
from avblocks.data.shards.pool import Result, encode_clips
from avblocks.data.shards.shard import Shard, load_shard
from avblocks.data.shards.tar import END, make_key, write_member
from avblocks.data.skipped import write_skipped
from avblocks.files import replacing, sha256, sync
from avblocks.progress import ProgressBar, progress_bar


class SplitWriter:
    """Write the shards of a split that do not exist yet.

    ``skipped`` collects the skipped files of all splits. With ``on_error="raise"`` the first file
    that cannot be used is an error; otherwise it is one when more than the fraction ``max_skipped``
    is skipped. ``check`` raises if the folder was replaced since the start.
    """

    def __init__(
        self,
        out: Path,
        split: str,
        clips: ClipSet,
        *,
        settings: ShardSettings,
        skipped: list[Skipped],
        on_error: Literal["raise", "skip"],
        max_skipped: float,
        check: Callable[[], object],
    ) -> None:
        self.split = split
        self.clips = clips
        self.settings = settings
        self.all_skipped, self.list_path = skipped, out / "skipped.csv"
        self.on_error = on_error
        self.max_skipped = max_skipped
        self.check = check
        count = -(-len(clips) // settings.clips)
        self.tars = [out / f"{split}-{number:06d}.tar" for number in range(count)]
        self.ready = {tar: shard for tar in self.tars if (shard := self._ready(tar)) is not None}
        self.skipped = 0
        paths = [item.path for item in clips.items]
        self.first = {path: len(paths) - 1 - n for n, path in enumerate(reversed(paths))}
        for shard in self.ready.values():
            self._note([Skipped(path=path, reason=reason) for _, path, reason in shard.skipped])

    def write(self, *, workers: int, timeout: float) -> list[dict[str, Any]]:
        """Write the missing shards; return name, size, checksums and number of clips of each."""
        order = [i for tar in self.tars if tar not in self.ready for i in self._share(tar)]
        loader = encode_clips(
            self.clips, order, settings=self.settings, workers=workers, timeout=timeout
        )
        done = len(self.clips) - len(order)
        about, total = f"shards {self.split}", len(self.clips)
        with progress_bar(about=about, total=total, initial=done, unit="clip") as bar:
            results = self._watched(loader, bar) if order else iter(())
            for tar in self.tars:
                if tar not in self.ready:
                    self.ready[tar] = self._pack(tar, islice(results, len(self._share(tar))))
                    write_skipped(self.list_path, self.all_skipped)
        shards = [self.ready[tar] for tar in self.tars]
        return [
            {
                "file": s.path.name,
                "bytes": s.size,
                "sha256": s.sha256,
                "index_sha256": s.index_sha256,
                "clips": len(s.items),
            }
            for s in shards
        ]

    def _share(self, tar: Path) -> range:
        """Return the numbers of the clips of a shard."""
        start = self.tars.index(tar) * self.settings.clips
        return range(start, min(start + self.settings.clips, len(self.clips)))

    def _watched(self, loader: Iterable[Result], bar: ProgressBar) -> Iterator[Result]:
        """Update the progress bar with the clips from the workers, and count skipped files."""
        for index, result in loader:
            bar.update()
            if isinstance(result, Skipped):
                if self.on_error == "raise":
                    raise ClipError(result.path, result.reason)
                self._note([result])
            yield index, result

    def _note(self, skipped: list[Skipped]) -> None:
        self.all_skipped += skipped
        self.skipped += len(skipped)
        if self.skipped > self.max_skipped * len(self.clips):
            write_skipped(self.list_path, self.all_skipped)
            raise TooManySkippedError(
                f"{self.skipped} of {len(self.clips)} clips cannot be used, more than the share of "
                f"{self.max_skipped:g} allowed by max_skipped; they are listed in {self.list_path}"
            )

    def _pack(self, tar: Path, results: Iterator[Result]) -> Shard:
        """Write one shard: the tar file under a temporary name, its index, then rename it."""
        self.check()
        try:
            with replacing(tar) as half:
                with half.open("wb") as file:
                    index = self._write(file, results)
                sync(half)
                index |= {"bytes": half.stat().st_size, "sha256": sha256(half)}
                write_json(tar.with_suffix(".json"), index)
        except OSError as error:
            self.check()
            reason = f"cannot be written ({error}); mend that and start again: finished shards stay"
            raise OSError(f"{tar}: {reason}") from error
        return load_shard(tar, classes=len(self.clips.classes))

    def _write(self, file: BinaryIO, results: Iterator[Result]) -> dict[str, Any]:
        clips, skipped = [], []
        for index, result in results:
            item = self.clips.items[index]
            if isinstance(result, Skipped):
                skipped.append((item.id, result.path, result.reason))
                continue
            key = make_key(index, item.id)
            spans = [write_member(file, f"{key}.{suffix}", data) for suffix, data in result.items()]
            about = {"key": key, "id": item.id, "labels": item.labels, "boxes": item.boxes}
            if item.images:
                about |= {"suffixes": [*result][2:], "of": self._source(index)}
            clips.append(about | {"members": spans})
        file.write(END)
        return {"clips": clips, "skipped": skipped}

    def _source(self, index: int) -> str:
        """Return the shard and key of the first of the clips with the audio file of a clip."""
        first = self.first[self.clips.items[index].path]
        tar = self.tars[first // self.settings.clips].name
        return f"{tar}/{make_key(first, self.clips.items[first].id)}"

    def _ready(self, tar: Path) -> Shard | None:
        """Return a shard if it exists and its size matches its index."""
        if not tar.is_file():
            return None
        try:
            return load_shard(tar, classes=len(self.clips.classes))
        except ValueError:
            return None
