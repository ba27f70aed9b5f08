"""The library of the Hugging Face Hub around our folders, without its network."""

import shutil
from pathlib import Path

import pytest
import torch
from fresh import Fresh
from torch import nn

from avblocks import AVEncoder, av_vit
from avblocks.checkpoint import from_pretrained, save_pretrained
from avblocks.checkpoint.hub import HubEncoder
from avblocks.data import ClipFormat, FrontEnd

COMMIT = 40 * "a"


def small(seed: int = 0) -> AVEncoder:
    torch.manual_seed(seed)
    sizes = {"image_size": 8, "audio_size": (8, 12), "patch": 4, "num_tokens": (2, 1, 1)}
    return av_vit(8, depth=2, num_heads=2, **sizes)


def equal(one: AVEncoder, other: AVEncoder) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The cache of the Hub's library, with one repository in it."""
    repository = tmp_path / "cache" / "models--someone--toy"
    save_pretrained(small(), repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return tmp_path / "cache"


def test_a_folder_of_the_library_is_ours_and_the_other_way_round(tmp_path: Path) -> None:
    encoder = small()
    HubEncoder(encoder).save_pretrained(tmp_path / "theirs")
    assert equal(from_pretrained(tmp_path / "theirs").encoder, encoder)
    save_pretrained(encoder, tmp_path / "ours")
    assert equal(HubEncoder.from_pretrained(tmp_path / "ours").encoder, encoder)
    for name in ("config.json", "model.safetensors"):
        files = [tmp_path / folder / name for folder in ("ours", "theirs")]
        assert files[0].read_bytes() == files[1].read_bytes()
    card = (tmp_path / "theirs" / "README.md").read_text()
    assert "library_name: avblocks" in card and "- audio-visual" in card
    HubEncoder(small(1)).save_pretrained(tmp_path / "theirs", config={"dim": 3})
    assert equal(from_pretrained(tmp_path / "theirs").encoder, small(1))


def test_a_repository_by_its_name(cache: Path) -> None:
    for words in ({}, {"revision": "main"}, {"revision": COMMIT}):
        found = HubEncoder.from_pretrained(
            "someone/toy", cache_dir=cache, local_files_only=True, **words
        )
        assert equal(found.encoder, small()) and not found.encoder.training
    with pytest.raises(FileNotFoundError):
        HubEncoder.from_pretrained("someone/else", cache_dir=cache, local_files_only=True)
    with pytest.raises(TypeError, match="strict"):
        HubEncoder.from_pretrained(
            "someone/toy", cache_dir=cache, local_files_only=True, strict=False
        )


def test_the_front_end_goes_along(tmp_path: Path) -> None:
    front_end = FrontEnd(ClipFormat(seconds=1.0, size=8, mels=8))
    HubEncoder(small(), front_end=front_end).save_pretrained(tmp_path)
    again = HubEncoder.from_pretrained(tmp_path).front_end
    assert again is not None and again.format == front_end.format


def test_half_a_download_is_refused(cache: Path) -> None:
    folder = cache / "models--someone--toy" / "snapshots" / COMMIT
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is missing, .*: save or download"):
        HubEncoder.from_pretrained("someone/toy", cache_dir=cache, local_files_only=True)


def test_what_is_pushed_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"

    class Repository:
        repo_id = "someone/toy"

    class Api:
        def __init__(self, *args: object, **kwargs: object) -> None: ...

        def create_repo(self, *args: object, **kwargs: object) -> Repository:
            return Repository()

        def upload_folder(self, *, folder_path: str, repo_id: str, **kwargs: object) -> str:
            shutil.copytree(folder_path, kept)
            return repo_id

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    assert HubEncoder(small()).push_to_hub("someone/toy") == "someone/toy"
    assert sorted(p.name for p in kept.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert equal(from_pretrained(kept).encoder, small())


def test_a_refusal_comes_before_the_library_touches_a_folder(tmp_path: Path) -> None:
    HubEncoder(small()).save_pretrained(tmp_path)
    other = small(1)
    other.image.norm = nn.LayerNorm(8, eps=1.0)
    with pytest.raises(ValueError, match=r"build no such model: image\.norm\.eps is 1\.0"):
        HubEncoder(other).save_pretrained(tmp_path)
    assert equal(from_pretrained(tmp_path).encoder, small())


WITHOUT = """
import sys
sys.modules["huggingface_hub"] = None  # as where it is not installed
from avblocks import av_vit
from avblocks.checkpoint import from_pretrained, save_pretrained
save_pretrained(av_vit(8, depth=1, num_heads=2, image_size=16, audio_size=(16, 32)), sys.argv[1])
print(from_pretrained(sys.argv[1]).encoder.depth)
"""


def test_folders_need_no_library(fresh: Fresh, tmp_path: Path) -> None:
    done = fresh(WITHOUT, str(tmp_path))
    assert done.stdout == "1\n", done.stderr
