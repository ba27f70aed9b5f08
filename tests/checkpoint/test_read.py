import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from avblocks import av_vit
from avblocks.checkpoint import read_state, save_pretrained, saves

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def saved(path: Path, content: object, **options: bool) -> Path:
    torch.save(content, path, **options)
    return path


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "weights.safetensors")
    state = read_state(str(tmp_path / "weights.safetensors"))
    assert sorted(state) == sorted(STATE) and torch.equal(state["a.bias"], STATE["a.bias"])


WRAPPERS = ["model", "state_dict", "module", "teacher", "student", "model_state_dict", "net", "ema"]
WRAPPERS += ["model_ema", "state_dict_ema", "weights", "params", "encoder"]


@pytest.mark.parametrize("wrapper", [None, *WRAPPERS])
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_wrappers_and_prefixes(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    state = {prefix + name: value for name, value in STATE.items()}
    more = {"epoch": 3, "optimizer": {"state": {0: torch.zeros(3)}, "lr": 1e-3}}
    content = state if wrapper is None else {wrapper: state} | more
    assert same(read_state(saved(tmp_path / "weights.pth", content)), STATE)


def test_what_is_no_tensor_is_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", STATE | {"version": 2, "names": ["a"]})
    assert same(read_state(path), STATE)


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    state = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert same(read_state(saved(tmp_path / "weights.pt", state)), state)


def test_the_old_format_and_the_arguments_of_mae(tmp_path: Path) -> None:
    """MAE's and AudioMAE's own checkpoints hold the command line as a namespace."""
    content = {"model": STATE, "args": argparse.Namespace(lr=1e-3, name="mae"), "scaler": {}}
    for new in (True, False):
        path = saved(tmp_path / "w.pth", content, _use_new_zipfile_serialization=new)
        assert same(read_state(path), STATE)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["zip", "old", "pickle"])
def test_code_is_refused_and_does_not_run(tmp_path: Path, how: str) -> None:
    path, mark = tmp_path / "weights.pth", tmp_path / "it ran"
    content = {"model": STATE, "extra": Bomb(mark)}
    if how == "pickle":
        path.write_bytes(pickle.dumps({"extra": Bomb(mark)}))
    else:
        saved(path, content, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(
        ValueError, match=r"weights.pth: .*code in checkpoints is never run"
    ) as info:
        read_state(path)
    assert not mark.exists() and "\n" not in str(info.value)
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "the bomb was no bomb"


def test_old_numpy_values_are_refused_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pth", {"model": STATE, "accuracy": np.float64(0.5)})
    with pytest.raises(
        ValueError, match=r"weights.pth: .*\(it holds numpy\S+\), .*convert it: safetensors"
    ) as info:
        read_state(path)
    assert "\n" not in str(info.value)


def broken_files(folder: Path) -> dict[str, Path]:
    whole = saved(folder / "whole.pth", STATE).read_bytes()
    save_file(STATE, folder / "whole.safetensors")
    tensors = (folder / "whole.safetensors").read_bytes()
    contents = {
        "cut.pth": whole[: len(whole) // 2],
        "cut.safetensors": tensors[:-9],
        "header.safetensors": tensors[:4],
        "empty.pth": b"",
        "empty.safetensors": b"",
        "text.pth": b"Not Found\n<html>this is no checkpoint</html>\n",
        "text.safetensors": b"Not Found\n<html>this is no checkpoint</html>\n",
        "noise.pth": bytes(range(1, 256)) * 4,
        "pointer.pth": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    saved(folder / "list.pth", [torch.zeros(2)])
    saved(folder / "nothing.pth", {"epoch": 3, "model": {}})
    return {name: folder / name for name in (*contents, "list.pth", "nothing.pth")}


def test_broken_files_are_named_in_one_line(tmp_path: Path) -> None:
    for name, path in broken_files(tmp_path).items():
        with pytest.raises(ValueError, match=f"{name}: ") as info:
            read_state(path)
        assert "\n" not in str(info.value), name
        assert len(str(info.value)) < 400, name


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth: no such checkpoint file"):
        read_state(tmp_path / "nowhere.pth")
    with pytest.raises(ValueError, match=r"model.safetensors is missing, "):
        read_state(tmp_path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_flipped_bits_are_read_or_refused(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path / "x.pth", STATE, _use_new_zipfile_serialization=zipped)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            read_state(path)
        except ValueError as error:
            assert "x.pth" in str(error)
            refused += 1
    assert refused > 10


def test_what_may_not_be_opened_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path / "x.pth", STATE)
    monkeypatch.setattr(torch, "load", closed)
    with pytest.raises(PermissionError):
        read_state(path)


def flipped(path: Path) -> None:
    """Change a bit in the middle of a file, where the tensors are."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def test_a_checkpoint_of_a_run_is_compared_with_its_manifest(tmp_path: Path) -> None:
    path = saves.save({"state_dict": {"a": torch.zeros(20_000)}}, tmp_path, step=3)
    assert read_state(path)["a"].shape == (20_000,)
    flipped(path)
    assert torch.load(path)["state_dict"]["a"].any(), "the format itself noticed"
    with pytest.raises(ValueError, match=r"step-00000003.ckpt refused: it is damaged"):
        read_state(path)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "latest").symlink_to(path)
    with pytest.raises(ValueError, match=r"latest refused: it is damaged"):
        read_state(tmp_path / "links" / "latest")
    renamed = path.rename(tmp_path / "best.ckpt")
    path.with_suffix(".json").rename(tmp_path / "best.json")
    with pytest.raises(ValueError, match=r"best.ckpt refused: it is damaged"):
        read_state(renamed)
    (tmp_path / "best.json").write_text('{"lr": 0.1}')  # no manifest, but somebody's settings
    read_state(renamed)
    renamed.rename(path).with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"refused: its manifest step-00000003.json is damaged"):
        read_state(path)


def test_weights_by_their_file_are_compared_with_the_configuration(tmp_path: Path) -> None:
    encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
    save_pretrained(encoder, tmp_path)
    path = tmp_path / "model.safetensors"
    read_state(path)
    flipped(path)
    with pytest.raises(ValueError, match=r"model.safetensors is missing, damaged, changed"):
        read_state(path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')  # another library's
    assert same(read_state(path), read_state(path.rename(tmp_path / "weights.safetensors")))


@pytest.mark.parametrize(
    "inside",
    [
        "_orig_mod.",
        "_orig_mod._orig_mod.",
        "_fsdp_wrapped_module.",
        "_orig_mod._fsdp_wrapped_module.",
        "_checkpoint_wrapped_module.",
        "_forward_module.",
    ],
)
def test_what_wrappers_left_inside_of_names_is_taken_off(tmp_path: Path, inside: str) -> None:
    state = {f"{inside}encoder.{inside}{name}": value for name, value in STATE.items()}
    found = read_state(saved(tmp_path / "w.pt", state))
    assert same(found, {f"encoder.{name}": value for name, value in STATE.items()})


def test_of_several_state_dicts_one_must_be_named(tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in STATE.items()}
    path = saved(tmp_path / "w.pth", {"student": {"module": STATE}, "teacher": other, "epoch": 3})
    with pytest.raises(ValueError, match=r"w.pth: holds teacher and student: pass the key of the"):
        read_state(path)
    assert same(read_state(path, key="student"), STATE)
    assert same(read_state(path, key="teacher"), other)
    with pytest.raises(ValueError, match=r"one under the key 'ema', and its keys are: student, te"):
        read_state(path, key="ema")
    path = saved(tmp_path / "w.pth", {"epoch": 3, "weight": {"x": 1}, "optimizer": {}})
    with pytest.raises(ValueError, match=r"its keys are: epoch, weight, optimizer"):
        read_state(path)


def test_safetensors_by_another_name(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "weights.pth")
    assert same(
        dict(sorted(read_state(tmp_path / "weights.pth").items())), dict(sorted(STATE.items()))
    )


def sharded(folder: Path, **names: str) -> Path:
    files = {"a.weight": "model-00001-of-00002.safetensors", "a.bias": "model-2.safetensors"}
    for name, file in files.items():
        save_file({name: STATE[name]}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files | names}))
    return index


def test_several_files_by_their_index(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    for path in (index, tmp_path):
        assert same(read_state(path), STATE)
    sharded(tmp_path, **{"b.bias": "model-2.safetensors"})
    with pytest.raises(ValueError, match=r"index.json: its files hold no 'b.bias'; download all"):
        read_state(index)
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model-2.safetensors: no such file, which"):
        read_state(tmp_path)


@pytest.mark.parametrize("name", ["../x.safetensors", "/x.safetensors", ".."])
def test_an_index_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    save_file(STATE, tmp_path / "x.safetensors")
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match=r"index.json: '.*' is no plain name"):
        read_state(sharded(tmp_path / "in", **{"a.bias": name}))


def test_a_tensor_beside_the_weights(tmp_path: Path) -> None:
    """The best score of many training scripts, or the number of averaged models."""
    inner = {f"module.{name}": value for name, value in STATE.items()}
    content = {"state_dict": inner, "best_acc1": torch.tensor(76.1)}
    assert same(read_state(saved(tmp_path / "best.pth", content)), STATE)
    averaged = inner | {"n_averaged": torch.tensor(3)}
    assert same(read_state(saved(tmp_path / "ema.pth", averaged)), STATE)


def test_folders_of_pytorch_files(tmp_path: Path) -> None:
    """As Hugging Face's libraries wrote them before safetensors."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    saved(whole / "pytorch_model.bin", STATE)
    assert same(read_state(whole), STATE)
    names = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
    files = dict(zip(STATE, names, strict=True))
    for name, file in files.items():
        saved(parts / file, {name: STATE[name]})
    content = {"metadata": {}, "weight_map": files}
    (parts / "pytorch_model.bin.index.json").write_text(json.dumps(content))
    assert same(read_state(parts), STATE)
    with pytest.raises(ValueError, match="one of 2 files of a model; give the folder of all"):
        read_state(parts / names[0])


def test_one_of_several_files_is_not_the_model(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model-00001-of-00003.safetensors")
    with pytest.raises(ValueError, match="one of 3 files of a model; give the folder of all"):
        read_state(tmp_path / "model-00001-of-00003.safetensors")
    (tmp_path / "model-00001-of-00003.safetensors").rename(
        tmp_path / "a-00001-of-00001.safetensors"
    )
    assert sorted(read_state(tmp_path / "a-00001-of-00001.safetensors")) == sorted(STATE)
