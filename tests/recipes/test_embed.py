"""Embeddings: of files and data sets, resumed, in parts, and retrieval on them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_lines import command
from torch.testing import assert_close
from toy_runs import ToyRun, toy_config

import recipes.embed
import recipes.retrieve
from avblocks.csvlog import read_csv
from avblocks.data import ClipDataset, collate
from avblocks.tasks import Embedding
from recipes import paper_pretrain
from recipes.common import data as _data
from recipes.common.embeddings import EmbeddingWriter, load_embeddings
from recipes.common.runs import load_encoder_run

embed, retrieve = command(recipes.embed), command(recipes.retrieve)


@pytest.fixture(scope="module")
def run(toy_run: Callable[[str], ToyRun]) -> Path:
    return toy_run("pretrain").folder


def words(run: Path, root: Path, out: Path, *more: str) -> list[str]:
    data = ["--name", "vggsound", "--root", str(root), "--workers", "0"]
    return ["--checkpoint", str(run), "--out", str(out), *data, *more]


def test_of_a_data_set(run: Path, toy_scenes: Path, tmp_path: Path) -> None:
    embed(words(run, toy_scenes, tmp_path, "--batch", "3", "--windows", "2", "--apart"))
    features, rows = load_embeddings(tmp_path)
    assert len(rows) == 16 and {row["window"] for row in rows} == {"0", "1"}
    times = {tuple(float(row[name]) for name in ("window", "start", "end")) for row in rows}
    assert times == {(0, 0, 0.5), (1, 0.5, 1)}  # of scenes of one second
    encoder, front_end = load_encoder_run(run)
    model = Embedding(encoder.eval(), front_end=front_end, apart=True)
    clips = _data.test_set(_data.Data(name="vggsound", root=toy_scenes))
    assert clips is not None
    samples = ClipDataset(clips, front_end.format, train=False, windows=2)
    wanted = model.features(collate([samples[index] for index in range(16)]))
    assert [row["path"] for row in rows[::2]] == [item.path for item in clips.items]
    for name, value in wanted.items():
        assert_close(features[name], value, rtol=1e-4, atol=1e-5)

    retrieve(["--embeddings", str(tmp_path)])
    scores = json.loads((tmp_path / "retrieval.json").read_text())
    assert scores["clips"] == 8 and scores["scores"]["image_to_audio"]["r10"] == 100
    (tmp_path / "list.txt").write_text(f"{rows[0]['id']}\n{rows[2]['id']}\n")
    few = ["--list", str(tmp_path / "list.txt"), "--windows", "2", "--apart"]
    embed(words(run, toy_scenes, tmp_path / "few", *few))
    assert [row["id"] for row in load_embeddings(tmp_path / "few")[1]] == [
        rows[number]["id"] for number in (0, 0, 2, 2)
    ]
    retrieve(["--embeddings", str(tmp_path), "--list", str(tmp_path / "list.txt")])
    assert json.loads((tmp_path / "retrieval.json").read_text())["clips"] == 2


def test_parts_and_resumed_runs_make_the_same(run: Path, toy_scenes: Path, tmp_path: Path) -> None:
    embed(words(run, toy_scenes, tmp_path / "whole"))
    for number in ("0", "1"):
        embed(words(run, toy_scenes, tmp_path / "parts", "--part", number, "2"))
        _, index = read_csv(tmp_path / f"parts/{number}-of-2-index.csv")
        assert len(index) == 4
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("parts/*.safetensors")}
    assert len(before) == 2
    embed(words(run, toy_scenes, tmp_path / "parts", "--part", "0", "2"))
    assert before == {path: path.stat().st_mtime_ns for path in before}

    index = tmp_path / "whole/index.csv"
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:1]))  # as killed before its first rows were written
    embed(words(run, toy_scenes, tmp_path / "whole"))
    whole, rows = load_embeddings(tmp_path / "whole")
    parts, others = load_embeddings(tmp_path / "parts")
    order = [[row["id"] for row in others].index(row["id"]) for row in rows]
    for name, value in whole.items():
        assert_close(parts[name][order], value, rtol=1e-4, atol=1e-5)


def test_of_files(run: Path, toy_scenes: Path, tmp_path: Path) -> None:
    videos = sorted(str(path) for path in toy_scenes.rglob("*.mp4"))[:2]
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as left:
        embed([*videos, str(bad), "--checkpoint", str(run), "--out", str(out), "--hop", "0.25"])
    assert left.value.code == 1
    features, rows = load_embeddings(out)
    assert list(dict.fromkeys(row["path"] for row in rows)) == videos
    assert [row["start"] for row in rows[:3]] == ["0.000", "0.250", "0.500"]
    assert len(features["fusion"]) == len(rows) == 6


def test_a_full_file_is_written_while_clips_come(tmp_path: Path) -> None:
    with EmbeddingWriter(tmp_path, rows=2) as writer:
        for number in range(5):
            writer.add({"image": torch.full((1, 2), float(number))}, [{"id": str(number)}])
            writer.end_clip(keep=number != 1)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    features, rows = load_embeddings(tmp_path)
    assert features["image"][:, 0].tolist() == [0, 2, 3, 4]
    assert [row["id"] for row in rows] == ["0", "2", "3", "4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a --checkpoint RUN"),
        (["a.mp4", "--checkpoint", "runs/none", "--out", "x"], "runs/none does not exist"),
        (["--checkpoint", "r", "--out", "x", "--name", "scenes", "--part", "2", "2"], "--part"),
        (["--checkpoint", "r", "--out", "x", "--name", "scenes", "--hop", "1"], "--hop is for FIL"),
        (["a.mp4", "--checkpoint", "r", "--out", "x", "--windows", "2"], "--windows is for a data"),
        (["a.mp4", "--checkpoint", "r", "--out", "x", "--list", "a.csv"], "--list is for a data"),
    ],
)
def test_a_users_mistake_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        embed(arguments)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2 and message in line


def test_retrieval_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        ([], "--embeddings DIR"),
        (["--embeddings", str(tmp_path)], "holds no"),
    ):
        with pytest.raises(SystemExit):
            retrieve(arguments)
        assert message in capsys.readouterr().err


def test_lists_for_retrieval(
    run: Path, toy_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(words(run, toy_scenes, tmp_path, "--apart"))
    ids = [row["id"] for row in read_csv(tmp_path / "index.csv")[1]]
    table = tmp_path / "list.csv"
    given = ["--embeddings", str(tmp_path), "--list", str(table)]
    for content, message in (
        (b"", f"{table} lists no clip"),
        (b"\xff\xfea", f"{table}: not a csv file in UTF-8"),
        (b"nothing\n", f"{table}: 1 clips are not embedded, such as nothing"),
    ):
        table.write_bytes(content)
        with pytest.raises(SystemExit):
            retrieve(given)
        assert message in capsys.readouterr().err
    table.write_bytes(f"\ufeff{ids[0]},heard\r\n{ids[1]},unheard\r\n".encode())
    retrieve(given)
    assert json.loads((tmp_path / "retrieval.json").read_text())["clips"] == 2


def own_videos(root: Path, scenes: Path) -> Path:
    """Two videos of each of two classes."""
    clips = sorted((scenes / "clips").rglob("*.mp4"))
    for n, path in enumerate(clips[:4]):
        (root / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        (root / "ab"[n % 2] / f"{n // 2}.mp4").write_bytes(path.read_bytes())
    return root


def test_of_your_own_folder(
    run: Path, toy_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "out", tmp_path / "list.csv"
    data = ["--name", "class_folder", "--split", "train", "--workers", "0"]
    given = ["--checkpoint", str(run), "--out", str(out), *data]
    own = own_videos(tmp_path / "own", toy_scenes)
    embed([*given, "--root", str(own)])
    ids = [row["id"] for row in read_csv(out / "index.csv")[1]]
    assert len(ids) == 2
    table.write_text(f"{ids[1]}\n")
    given[3] = str(tmp_path / "few")
    embed([*given, "--root", str(own), "--list", str(table)])
    assert [row["id"] for row in read_csv(tmp_path / "few" / "index.csv")[1]] == ids[1:]
    # Clips of another folder have the same ids.
    other = own_videos(tmp_path / "other", toy_scenes)
    given[3] = str(out)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        embed([*given, "--root", str(other)])
    message = f"{out} holds an embedding of {ids[0]} from {own / ids[0]}, and not from {other}"
    assert message in capsys.readouterr().err


def test_of_models_of_videos(
    toy_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = toy_config("pretrain", toy_scenes, tmp_path / "run", max_steps=1)
    paper_pretrain.main(replace(config, data=replace(config.data, frames=2)))
    out = tmp_path / "out"
    embed(words(tmp_path / "run", toy_scenes, out))
    assert len(read_csv(out / "index.csv")[1]) == 8
    capsys.readouterr()
    with pytest.raises(SystemExit):
        embed(["a.mp4", "--checkpoint", str(tmp_path / "run"), "--out", str(tmp_path / "files")])
    assert "run reads clips of 2 frames, and windows of a FILE have" in capsys.readouterr().err


@pytest.mark.parametrize("hop", ["nan", "inf", "0", "0.6"])
def test_windows_leave_no_gaps(
    run: Path, tmp_path: Path, hop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        embed(["a.mp4", "--checkpoint", str(run), "--out", str(out), "--hop", hop])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: --hop must be above 0 and at most 0.5") and not out.exists()


def test_embeddings_of_other_settings_are_not_mixed(
    run: Path,
    toy_run: Callable[[str], ToyRun],
    toy_scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    embed(words(run, toy_scenes, out))
    before = {path: path.read_bytes() for path in out.iterdir()}

    def refused(*given: str) -> str:
        with pytest.raises(SystemExit):
            embed(list(given))
        return capsys.readouterr().err

    more = "of other settings: apart was False, now True: give --out another folder"
    assert more in refused(*words(run, toy_scenes, out, "--apart"))
    assert "pooling was 'mean', now 'tok" in refused(
        *words(run, toy_scenes, out, "--pooling", "tokens", "--part", "0", "2")
    )
    assert "weights_sha256 was" in refused(*words(toy_run("finetune").folder, toy_scenes, out))
    (out / "settings.json").rename(tmp_path / "settings.json")
    assert "holds embeddings of unknown settings" in refused(*words(run, toy_scenes, out))
    (tmp_path / "settings.json").rename(out / "settings.json")
    embed(words(run, toy_scenes, out))
    assert before == {path: path.read_bytes() for path in out.iterdir()}


def test_retrieval_refuses_what_is_encoded_together(
    run: Path, toy_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(words(run, toy_scenes, tmp_path))
    with pytest.raises(SystemExit):
        retrieve(["--embeddings", str(tmp_path)])
    assert "of image and audio together, which each depend on the other" in capsys.readouterr().err
    (tmp_path / "settings.json").unlink()  # of an earlier version
    retrieve(["--embeddings", str(tmp_path)])
    assert "do not say whether image and audio are encoded apart" in capsys.readouterr().out
