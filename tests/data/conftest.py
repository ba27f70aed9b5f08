"""Fixtures for small real media files, and for the folders of real ones."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from clip_files import encode

from avblocks.data.scenes import SceneSpec, scenes

REPOSITORY = Path(__file__).parents[2]


def _outside(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / default))
    if not folder.is_dir():
        pytest.skip(f"{variable} is not set and {folder} is absent")
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a file with ``encode`` into the test's folder."""

    def write(name: str = "clip.mp4", **settings) -> Path:
        return encode(tmp_path / name, **settings)

    return write


@pytest.fixture
def real_clips() -> Path:
    """The folder of real clips; the test is skipped where it is absent."""
    return _outside("AVBLOCKS_CLIPS", "clips")


@pytest.fixture
def annotations() -> Path:
    """The folder of published annotations; the test is skipped where it is absent."""
    return _outside("AVBLOCKS_ANNOTATIONS", "annotations")


@pytest.fixture(scope="session")
def scene_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight small training scenes, two of them duets, and six test scenes."""
    root = tmp_path_factory.mktemp("scene_root")
    spec = SceneSpec(seconds=2.0, size=32)
    scenes(root, split="train", num_clips=8, spec=spec)
    scenes(root, split="test", num_clips=6, spec=spec)
    return root
