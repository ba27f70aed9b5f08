"""`Logger`: where numbers, figures and audio of a run go besides its own files; TensorBoard."""

import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from avblocks.files import naming


class Logger(Protocol):
    """Protocol of a logger, called in process 0 only; see `open_run`.

    A resumed run may log steps again that were logged after its checkpoint.
    """

    def config(self, values: Mapping[str, Any]) -> None:
        """Log the content of `config.json`, at each start."""
        ...

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers by name, such as `train/loss` and `eval/top1_all`."""
        ...

    def image(self, step: int, name: str, path: Path) -> None:
        """Log a PNG file, such as the reconstructions or maps of test clips."""
        ...

    def audio(self, step: int, name: str, path: Path) -> None:
        """Log a WAV file."""
        ...

    def close(self) -> None:
        """Write everything that is still in memory."""
        ...


class TensorBoardLogger:
    """Logger to the event files of TensorBoard.

    Args:
        folder: Folder of the event files.
        start: Steps done; points after it are those of a lost part of the run, and are purged.
    """

    def __init__(self, folder: Path, *, start: int = 0) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self.folder = folder
        self._board = SummaryWriter(str(folder), purge_step=start + 1 if start else 0)

    def config(self, values: Mapping[str, Any]) -> None:
        """Log the configuration as text."""
        text = json.dumps(values, indent=2)
        with naming(self.folder):
            self._board.add_text("config", "\n".join(f"    {x}" for x in text.splitlines()))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers."""
        with naming(self.folder):
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def image(self, step: int, name: str, path: Path) -> None:
        """Log a PNG file."""
        from matplotlib.image import imread

        with naming(self.folder):
            self._board.add_image(name, imread(path)[..., :3], step, dataformats="HWC")

    def audio(self, step: int, name: str, path: Path) -> None:
        """Log a WAV file of 16 bits."""
        with wave.open(str(path)) as file:
            rate, data = file.getframerate(), file.readframes(file.getnframes())
        samples = np.frombuffer(data, np.int16).astype(np.float32) / 32768
        with naming(self.folder):
            self._board.add_audio(name, samples[None], step, sample_rate=rate)

    def close(self) -> None:
        """Write everything that is still in memory."""
        with naming(self.folder):
            self._board.close()
