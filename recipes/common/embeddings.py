"""Folders of embeddings: numbered safetensors files, and an index with one row per window."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from avblocks.csvlog import CsvLog, read_csv
from avblocks.data.datasets import Item
from avblocks.files import replacing
from avblocks.jsonfile import read_json, write_json
from avblocks.tasks import Embedding
from recipes.engine.folder import plain

INDEX = "index.csv"
SETTINGS = "settings.json"
_AGAIN = "give --out another folder"
COLUMNS = ("file", "row", "path", "id", "window", "start", "end", "classes")
Row = Mapping[str, str]


class EmbeddingWriter:
    """Append windows to a folder; clips enter the index once their embeddings are on disk.

    Args:
        folder: Folder that contains nothing but embeddings.
        part: Name of the part of this process, if several processes write to the folder.
        rows: Windows per file.
        settings: What the embeddings depend on, see `settings_of`, stored in `settings.json`; those
            of an interrupted process must be the same.

    Raises:
        ValueError: If the folder holds embeddings of other or unknown settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        part: str = "",
        rows: int = 1024,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.part, self.rows = folder, part, rows
        if settings is not None:
            _check_settings(folder, settings)
        self.log = CsvLog(folder / f"{part}{INDEX}", COLUMNS)
        _, written = read_csv(self.log.path)
        self.done = {row["id"]: row["path"] for row in written}
        self.number = len({row["file"] for row in written})
        self.clip: list[tuple[Mapping[str, Tensor], list[dict[str, str]]]] = []
        self.pending: list[tuple[Mapping[str, Tensor], list[dict[str, str]]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the buffered windows, unless there was an error, and close the index."""
        try:
            if kind is None:
                self.flush()
        finally:
            self.log.close()

    def has(self, item: Item) -> bool:
        """Return whether a clip of a data set is in the index.

        Raises:
            ValueError: If another file has its id there.
        """
        path = self.done.get(item.id)
        if path not in (None, item.path):
            raise ValueError(
                f"{self.folder} holds an embedding of {item.id} from {path}, and not from "
                f"{item.path}: {_AGAIN}"
            )
        return path is not None

    def add(self, features: Mapping[str, Tensor], rows: list[dict[str, str]]) -> None:
        """Add windows of the current clip or clips."""
        self.clip.append(({name: value.cpu() for name, value in features.items()}, rows))

    def end_clip(self, *, keep: bool = True) -> None:
        """Keep or discard the windows added since the last call; write a file if it is full."""
        self.pending += self.clip if keep else []
        self.clip = []
        if sum(len(rows) for _, rows in self.pending) >= self.rows:
            self.flush()

    def flush(self) -> None:
        """Write the buffered windows."""
        if not self.pending:
            return
        streams = self.pending[0][0]
        joined = {name: torch.cat([part[name] for part, _ in self.pending]) for name in streams}
        file = f"{self.part}{self.number:05}.safetensors"
        with replacing(self.folder / file) as half:
            save_file({name: value.contiguous() for name, value in joined.items()}, half)
        for row, about in enumerate(about for _, rows in self.pending for about in rows):
            self.log.append({"file": file, "row": str(row), **about})
        self.log.flush()
        self.number += 1
        self.pending = []


def settings_of(model: Embedding, **more: Any) -> dict[str, Any]:
    """Return what the embeddings of a model depend on, and more settings, as JSON values."""
    weights = sha256()
    for name, value in sorted(model.encoder.state_dict().items()):
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        weights.update(name.encode() + flat.numpy().tobytes())
    about = {"pooling": model.pooling, "apart": model.apart, **more}
    about |= model.front_end.format.to_dict() | {"weights_sha256": weights.hexdigest()}
    return plain(about)


def read_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of a folder of embeddings; None if it has none, as older ones.

    Raises:
        ValueError: If they are damaged.
    """
    path = folder / SETTINGS
    return read_json(path, dict, remedy=_AGAIN) if path.is_file() else None


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise if the folder has embeddings of other settings; else store these."""
    before = read_settings(folder)
    written = any(read_csv(path)[1] for path in sorted(folder.glob(f"*{INDEX}")))
    if before is None and written:
        raise ValueError(f"{folder} holds embeddings of unknown settings: {_AGAIN}")
    old = before or {}
    names = sorted(n for n in old.keys() | settings.keys() if old.get(n) != settings.get(n))
    if written and names:
        changed = "; ".join(f"{n} was {old.get(n)!r}, now {settings.get(n)!r}" for n in names)
        raise ValueError(f"{folder} holds embeddings of other settings: {changed}: {_AGAIN}")
    if names:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / SETTINGS, settings)


def load_embeddings(folder: Path) -> tuple[dict[str, Tensor], list[dict[str, str]]]:
    """Load all embeddings of a folder: features by stream, one row per window, and their index.

    Raises:
        ValueError: If there are none, or they are damaged.
    """
    rows = [row for path in sorted(folder.glob(f"*{INDEX}")) for row in read_csv(path)[1]]
    if not rows:
        raise ValueError(f"{folder} holds no embeddings: make them by python -m recipes.embed")
    files: dict[str, dict[str, Tensor]] = {}
    for name in dict.fromkeys(row["file"] for row in rows):
        try:
            files[name] = load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{folder / name}: {error}; embed again to {folder}") from error
    places = {name: [int(row["row"]) for row in rows if row["file"] == name] for name in files}
    if any(max(places[name]) >= len(next(iter(f.values()))) for name, f in files.items()):
        raise ValueError(f"{folder}: its index does not fit its files; embed again")
    streams = next(iter(files.values()))
    return {
        stream: torch.cat([files[name][stream][places[name]] for name in files])
        for stream in streams
    }, sorted(rows, key=lambda row: list(files).index(row["file"]))
