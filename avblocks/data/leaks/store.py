"""`FingerprintStore`: fingerprints on disk, kept when a run is killed."""

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from avblocks.data.leaks.prints import Fingerprint
from avblocks.files import replacing

_EACH = 200  # clips of a file
# RuntimeError: compression and encryption that zipfile does not support.
_DAMAGED = (OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError)
_DAMAGED += (BadZipFile, zlib.error)
_FIELDS = {"paths", "reasons", "codes", "num_codes", "hashes", "num_hashes"}


class FingerprintStore:
    """The fingerprints of a folder by path, in numbered npz files.

    A kill loses at most the last 200 clips. Use it as a context manager while adding.

    Raises:
        ValueError: If a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.prints = folder, dict[str, Fingerprint]()
        self.pending: list[Fingerprint] = []
        files = sorted(folder.glob("*.npz"))
        self.number = int(files[-1].stem) + 1 if files else 0
        for file in files:
            self.prints |= {one.path: one for one in _read(file)}

    def __enter__(self) -> "FingerprintStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, one: Fingerprint) -> None:
        """Add a fingerprint, and write a file if it is full."""
        self.prints[one.path] = one
        self.pending.append(one)
        if len(self.pending) >= _EACH:
            self.flush()

    def flush(self) -> None:
        """Write the fingerprints that are not on disk."""
        if self.pending:
            with replacing(self.folder / f"{self.number:05}.npz") as half, half.open("wb") as file:
                _write(file, self.pending)
            self.number, self.pending = self.number + 1, []


def _write(file: object, prints: list[Fingerprint]) -> None:
    np.savez(
        file,  # pyright: ignore[reportArgumentType]
        paths=np.array([one.path for one in prints]),
        reasons=np.array([one.reason for one in prints]),
        codes=np.concatenate([one.codes for one in prints]),
        num_codes=np.array([len(one.codes) for one in prints]),
        hashes=np.concatenate([one.hashes for one in prints]),
        num_hashes=np.array([len(one.hashes) for one in prints]),
    )


def _read(path: Path) -> list[Fingerprint]:
    try:
        # numpy leaves a damaged file open that it opened itself.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            parts = {name: file[name] for name in _FIELDS}
        codes = np.split(parts["codes"], np.cumsum(parts["num_codes"])[:-1])
        hashes = np.split(parts["hashes"], np.cumsum(parts["num_hashes"])[:-1])
        texts = parts["paths"].tolist(), parts["reasons"].tolist()
        rows = [*zip(*texts, codes, hashes, strict=True)]
    except _DAMAGED as error:
        raise ValueError(f"{path}: cannot be read ({error}); delete it") from error
    return [Fingerprint(name, code, hash_, reason) for name, reason, code, hash_ in rows]
