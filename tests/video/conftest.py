"""A video that the tests of this folder read."""

from pathlib import Path

import pytest
from clip_files import encode

from avblocks.data import ClipFormat


@pytest.fixture(scope="session")
def format() -> ClipFormat:
    return ClipFormat(seconds=0.5, rate=16000, size=16, mels=32, hop=250)


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """26 counted images and 1.3 s of a chirp."""
    path = tmp_path_factory.mktemp("video") / "street.mp4"
    return encode(path, frames=26, fps=20, seconds=1.3, rate=44100)
