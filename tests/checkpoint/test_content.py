"""Files that are no checkpoint are refused in one sentence, which says what they are."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from avblocks import zoo
from avblocks.checkpoint import from_pretrained, read_state, saves
from avblocks.checkpoint.content import load_content

STATE = {"a.weight": torch.arange(6.0).view(2, 3)}
REMEDY = "; give a file of safetensors or of torch.save, or download it again"
NO_CODE = "and code in checkpoints is never run; where you trust it, convert it: torch.save("


def zipped(**files: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.txt", text)
    return memory.getvalue()


def png() -> bytes:
    memory = io.BytesIO()
    Image.new("RGB", (8, 8)).save(memory, "png")
    return memory.getvalue()


def npz() -> bytes:
    memory = io.BytesIO()
    np.savez(memory, x=np.zeros(3))
    return memory.getvalue()


OTHERS = {
    "metrics.csv": (b"epoch,loss\n0,1.5\n", "begins with 'epoch,loss 0,1.5'" + REMEDY),
    "config.json": (b'{"lr": 0.1}\n', """begins with '{"lr": 0.1}'""" + REMEDY),
    "notes.txt": ("Grüße\n".encode(), "begins with 'Grüße'" + REMEDY),
    "numbers.txt": (b"0 1 2\n", "begins with '0 1 2'" + REMEDY),
    "figure.png": (png(), r"begins with b'\x89PNG\r\n\x1a\n'" + REMEDY),
    "empty.ckpt": (b"", "is empty" + REMEDY),
    "page.safetensors": (b"<!DOCTYPE html>", "begins with '<!DOCTYPE html>'" + REMEDY),
    "pointer.pth": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        "begins with 'version https://git-lfs.github.com/spec/'" + REMEDY,
    ),
    "zeros.pth": (bytes(9000), r"begins with b'\x00\x00\x00\x00\x00\x00\x00\x00'" + REMEDY),
    "some.zip": (zipped(a="hello"), "is a zip archive of 'a.txt'" + REMEDY),
    "none.zip": (zipped(), r"begins with b'PK\x05\x06\x00\x00\x00\x00'" + REMEDY),
    "x.npz": (npz(), "is a zip archive of 'x.npy'" + REMEDY),
    "plain.pkl": (
        pickle.dumps({"a": 1}),
        f"is a pickle that torch.save did not write, {NO_CODE}pickle.load(open(FILE, 'rb')), OUT)",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_kind(name: str, tmp_path: Path) -> None:
    path, (content, message) = tmp_path / name, OTHERS[name]
    path.write_bytes(content)
    for read in (read_state, zoo.load):
        with pytest.raises(ValueError, match="not a checkpoint") as info:
            read(path)
        assert str(info.value) == f"{path}: not a checkpoint: it {message}"


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")
def test_a_program_of_torchscript_is_converted_as_the_message_says(tmp_path: Path) -> None:
    model, path = nn.Linear(2, 3), tmp_path / "program.pt"
    torch.jit.script(model).save(path)
    wanted = f"it is a TorchScript program, {NO_CODE}torch.jit.load(FILE).state_dict(), OUT)"
    with pytest.raises(ValueError, match="TorchScript") as info:
        read_state(path)
    assert str(info.value) == f"{path}: not a checkpoint: {wanted}"
    torch.save(torch.jit.load(path).state_dict(), tmp_path / "weights.pt")
    assert torch.equal(read_state(tmp_path / "weights.pt")["bias"], model.bias)


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_half_a_file_is_called_damaged(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zip")
    whole, name = path.read_bytes(), "safetensors" if kind == "safetensors" else "PyTorch"
    assert load_content(path)
    path.write_bytes(whole[:-9] if kind == "safetensors" else whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged") as info:
        read_state(path)
    assert str(info.value) == f"{path}: a damaged {name} file, copy or download it again"


def test_a_file_of_the_older_format_cut_anywhere(tmp_path: Path) -> None:
    """Also within the name of a class, which then is that of another one."""
    path = tmp_path / "weights"
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in range(32, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=": a damaged PyTorch file, copy or download it again"):
            read_state(path)


def test_a_pytorch_file_may_have_any_suffix(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "weights.safetensors")
    assert torch.equal(read_state(tmp_path / "weights.safetensors")["a.weight"], STATE["a.weight"])


def test_a_file_larger_than_the_memory_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.pth"
    torch.save(STATE, path)
    try:  # of torch's own words, for more than any machine has
        torch.empty(2**60, dtype=torch.uint8)
    except RuntimeError as error:
        refusal = error

    def load(*args: object, **options: object) -> None:
        raise refusal

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(ValueError, match=r"large.pth: larger than the free memory"):
        read_state(path)


def test_the_checksum_of_a_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    manifest = saves.save({"a": torch.zeros(3)}, tmp_path, step=3).with_suffix(".json")
    for read in (read_state, saves.load):
        with pytest.raises(ValueError, match="it is no checkpoint, but the checksum of one"):
            read(manifest)


def test_a_file_is_no_folder_of_save_pretrained(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(STATE, path)
    with pytest.raises(ValueError, match="a file") as info:
        from_pretrained(path)
    assert str(info.value) == f"{path} is a file: give a folder that save_pretrained wrote"
