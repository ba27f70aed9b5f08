"""The main job, small: what it leaves, exact resume, published weights, and files it cannot use."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import TINY

from avblocks import sincos_position
from avblocks.jsonfile import read_json
from recipes import paper_pretrain
from recipes.common.cli import run_cli
from recipes.engine.log import read_rows
from recipes.engine.run import Run
from recipes.paper_pretrain import AUDIOSET, SCENES, VGGSOUND, Config

ROOT = Path(__file__).parents[2]
CLIPS = Path(os.environ.get("AVBLOCKS_CLIPS", ROOT.parent / "shared" / "clips"))


@pytest.fixture
def root(toy_scenes: Path) -> Path:
    return toy_scenes


def config(preset: Config, root: Path, folder: Path, **run: object) -> Config:
    """A preset cut down to a second's work."""
    data = replace(preset.data, root=root, seconds=0.5, size=16, mels=32, workers=0)
    return replace(preset, data=data, model=TINY, predict=1.0, batch=4, run=Run(dir=folder, **run))


def rows(folder: Path) -> list[tuple[float, ...]]:
    names = ("step", "loss", "loss_image", "loss_audio", "lr", "grad_norm")
    return [tuple(r[n] for n in names) for r in read_rows(folder / "metrics.csv") if "loss" in r]


def test_leaves_what_a_user_looks_for(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = replace(config(VGGSOUND, root, tmp_path / "run"), epochs=2, warmup=1, evaluate_every=1)
    paper_pretrain.main(wanted)
    said = capsys.readouterr().out.strip().splitlines()
    assert said[0] == "vggsound train: 8 clips listed, 8 on disk"
    assert said[-1].startswith("next: python -m recipes.")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "metrics.csv", "loss.png", "reconstruction.png", "checkpoints"} <= names
    assert "skipped.csv" not in names and "skipped 0 of 16 clips" in "\n".join(said)
    facts = json.loads((tmp_path / "run/config.json").read_text())
    assert facts["config"]["batch"] == 4
    assert {use: counts["on_disk"] for use, counts in facts["clips"].items()} == {
        "train": 8,
        "test": 8,
    }
    probes = [r for r in read_rows(tmp_path / "run/metrics.csv") if "eval/nn_fusion" in r]
    assert len(probes) == 3 and all(0 <= r["eval/nn_all"] <= 100 for r in probes)


def test_the_global_batch_stays(root: Path, tmp_path: Path) -> None:
    wanted = config(VGGSOUND, root, tmp_path, max_steps=1)
    wanted = replace(wanted, epochs=2, warmup=1)
    paper_pretrain.main(wanted)
    with pytest.raises(ValueError, match="global batches of 4"):
        paper_pretrain.main(replace(wanted, batch=2, run=replace(wanted.run, resume=True)))


def test_names_of_the_release_before_are_taken(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = replace(config(VGGSOUND, root, tmp_path, max_steps=1), epochs=2, warmup=1)
    paper_pretrain.main(wanted)
    file = tmp_path / "config.json"
    text = json.dumps(read_json(file, remedy=""))  # that release wrote no checksum
    file.write_text(text.replace('"evaluate_every"', '"probe_every"'))
    paper_pretrain.main(replace(wanted, run=replace(wanted.run, max_steps=2, resume=True)))
    assert '"evaluate_every": 10' in file.read_text()
    taken: list[Any] = []
    run_cli(taken.append, presets=paper_pretrain.PRESETS, doc="", args=["--probe-every", "3"])
    run_cli(taken.append, presets=paper_pretrain.PRESETS, doc="", args=["--probe-every=4"])
    assert [one.evaluate_every for one in taken] == [3, 4]
    assert "--probe-every is called --evaluate-every now" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_goes_on_with_other_processes(root: Path, tmp_path: Path) -> None:
    def train(name: str, *words: object) -> list[tuple[float, ...]]:
        sizes = ["--data.size", 64, "--data.mels", 64, "--data.seconds", 1, "--data.workers", 0]
        model = ["--model.dim", 32, "--model.heads", 2, "--model.depth", 2, "--epochs", 3]
        given = [
            *sizes,
            *model,
            "--warmup",
            1,
            "--data.root",
            root,
            "--run.dir",
            tmp_path / name,
            *words,
        ]
        command = [sys.executable, "-m", "recipes.paper_pretrain", "vggsound", *map(str, given)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return rows(tmp_path / name)

    whole = train("whole", "--batch", 4)
    train("parts", "--batch", 2, "--run.devices", 2, "--run.max-steps", 2)
    parts = train("parts", "--batch", 4, "--run.resume")
    assert len(parts) == len(whole) == 6
    assert torch.allclose(torch.tensor(parts), torch.tensor(whole), rtol=1e-4)


def test_resume_is_exact(root: Path, tmp_path: Path) -> None:
    """With other processes that read clips, too."""

    def train(name: str, *, workers: int = 2, **run: object) -> Path:
        wanted = config(VGGSOUND, root, tmp_path / name, **run)
        paper_pretrain.main(
            replace(wanted, data=replace(wanted.data, workers=workers), epochs=4, warmup=1)
        )
        return tmp_path / name

    whole = train("whole", workers=0, max_steps=5)
    train("parts", max_steps=3)
    parts = train("parts", max_steps=5, resume=True)
    assert len(rows(whole)) == 5 and rows(whole) == rows(parts)
    saved = [
        torch.load(f / "checkpoints/step-00000005.ckpt", weights_only=True) for f in (whole, parts)
    ]
    for name, value in saved[0]["state_dict"].items():
        assert torch.equal(value, saved[1]["state_dict"][name]), name


def test_masks_follow_the_sample_and_not_the_batch(root: Path, tmp_path: Path) -> None:
    from avblocks import RandomMask
    from avblocks.data import FrontEnd, collate
    from avblocks.tasks import Pretraining
    from recipes.common.data import train_set
    from recipes.common.loaders import dataset
    from recipes.common.model import build_autoencoder

    wanted = config(VGGSOUND, root, tmp_path)
    model = Pretraining(
        build_autoencoder(TINY, wanted.data),
        front_end=FrontEnd(wanted.data.format),
        image_mask=RandomMask(0.5),
        audio_mask=RandomMask(0.5),
    )
    samples = dataset(train_set(wanted.data), wanted.data, train=True, seed=0)
    one, two = samples[0, 3], samples[0, 5]
    drawn = [
        model.masks(batch, image=model.front_end(batch)[0], audio=model.front_end(batch)[1])
        for batch in (collate([one, two]), collate([two, one]), two)
    ]
    for name in ("image_mask", "audio_mask"):
        first, second, alone = (masks[name].ids_keep for masks in drawn)
        assert torch.equal(first, second.flip(0)) and torch.equal(first[1:], alone)
        assert not torch.equal(first[0], first[1])


def test_presets_hold_the_papers_numbers() -> None:
    for preset, accumulate, ratios in ((VGGSOUND, 1, (0.25, 1.0)), (AUDIOSET, 4, (1.0, 4.0))):
        assert (preset.batch, preset.run.accumulate, preset.epochs, preset.warmup) == (
            64,
            accumulate,
            200,
            40,
        )
        assert (preset.base_lr, preset.weight_decay, preset.evaluate_every) == (1.5e-4, 0.05, 10)
        assert (preset.image_mask, preset.audio_mask) == (0.75, 0.8)
        assert (preset.data.size, preset.data.audio_size, preset.data.rate) == (
            224,
            (128, 192),
            16000,
        )
        model = preset.model
        assert (model.dim, model.depth, model.heads, model.patch) == (768, 12, 12, 16)
        assert (model.decoder_dim, model.decoder_depth, model.decoder_heads) == (512, 8, 16)
        assert (model.attn_ratio, model.mlp_ratio) == ratios and sum(model.num_tokens) == 32
        assert (model.fusion, model.fusion_layers) == ("factorized", "all")


def test_starts_from_published_weights_and_slows_their_rate(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = config(VGGSOUND, root, tmp_path / "run", max_steps=2)
    vit = paper_pretrain.build_autoencoder(TINY, wanted.data).encoder.image.state_dict()
    fixed = torch.cat((torch.zeros(1, 16), sincos_position(16, (2, 2))))[None]
    extra = {"cls_token": torch.zeros(1, 1, 16), "pos_embed": fixed}
    torch.save({"model": vit | extra}, tmp_path / "mae.pth")
    paper_pretrain.main(replace(wanted, image_weights=tmp_path / "mae.pth"))
    said = capsys.readouterr().out
    assert f"loaded: {len(vit)} (" in said and "left at initialization: none" in said
    assert "dropped on purpose: 2 (cls_token, pos_embed)" in said


def test_two_labels_a_clip_are_probed_by_average_precision(root: Path, tmp_path: Path) -> None:
    from avblocks.tasks.probe import _mean_average_precision

    target = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
    right, wrong = torch.tensor([1, 0, 3, 2]), torch.tensor([2, 3, 0, 1])
    assert _mean_average_precision(target, right, torch.ones(4)) == 1.0
    assert _mean_average_precision(target, wrong, torch.ones(4)) == 0.5


def words(root: Path, folder: Path, *more: str) -> list[str]:
    """The command line of a tiny run over a folder of videos."""
    given = {
        "data.root": root,
        "data.seconds": 0.5,
        "data.size": 16,
        "data.mels": 32,
        "data.workers": 0,
        "model.dim": 16,
        "model.depth": 1,
        "model.heads": 2,
        "model.patch": 8,
        "model.decoder-dim": 16,
        "model.decoder-depth": 1,
        "model.decoder-heads": 2,
        "run.dir": folder,
        "run.max-steps": 1,
    }
    return ["folder", *(str(w) for k, v in given.items() for w in (f"--{k}", v)), *more]


def command(arguments: list[str]) -> None:
    run_cli(
        paper_pretrain.main,
        presets=paper_pretrain.PRESETS,
        doc=paper_pretrain.__doc__,
        args=arguments,
    )


@pytest.fixture
def mixed(root: Path, tmp_path: Path) -> Path:
    """A folder, some levels deep, of nine good files and one that is none."""
    folder = tmp_path / "mixed"
    for i, clip in enumerate(sorted(root.rglob("*.mp4"))[:9]):
        (folder / str(i % 2)).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, folder / str(i % 2) / clip.name)
    (folder / "broken.mp4").write_text("not a video")
    return folder


def test_a_bad_file_stops_the_run_by_name(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command(words(mixed, tmp_path / "run"))
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and "broken.mp4" in line


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_bad_file_is_skipped_and_listed(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    more = ("--data.on-error", "skip", "--data.workers", workers)
    command(words(mixed, tmp_path / "run", *more))
    assert "skipped 1 of 10 clips" in capsys.readouterr().out
    with (tmp_path / "run/skipped.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert Path(row["path"]).name == "broken.mp4" and row["reason"]


def test_too_many_bad_files_stop_the_run_and_are_listed(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command(
            words(mixed, tmp_path / "run", "--data.on-error", "skip", "--data.max-skipped", "0.05")
        )
    assert left.value.code == 2
    assert "1 of 10 clips cannot be used" in capsys.readouterr().err
    assert "broken.mp4" in (tmp_path / "run/skipped.csv").read_text()


def test_the_picture_passes_over_files_that_cannot_be_used(mixed: Path, tmp_path: Path) -> None:
    for i in range(4):
        (mixed / "0" / f"!{i}.mp4").write_text("not a video")
    more = ("--data.on-error", "skip", "--data.max-skipped", "0.5")
    command(words(mixed, tmp_path / "run", *more))
    assert (tmp_path / "run/reconstruction.png").is_file()


def test_a_folder_of_bad_files_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").mkdir()
    for i in range(3):
        (tmp_path / "bad" / f"{i}.mp4").write_text("not a video")
    with pytest.raises(SystemExit) as left:
        command(words(tmp_path / "bad", tmp_path / "run", "--data.on-error", "skip"))
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2 and "3 of 3 clips cannot be used" in line


def test_a_probe_of_too_few_clips_measures_nothing(root: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(root, few)
    tests = sorted(few.rglob("test-*.mp4"))
    for clip in tests[1:]:
        clip.unlink()
    paper_pretrain.main(config(VGGSOUND, few, tmp_path / "run", max_steps=1))
    assert not any("eval/nn_fusion" in row for row in read_rows(tmp_path / "run/metrics.csv"))


def test_weights_of_another_depth_are_refused(root: Path, tmp_path: Path) -> None:
    wanted = config(VGGSOUND, root, tmp_path / "run", max_steps=1)
    deeper = paper_pretrain.build_autoencoder(replace(TINY, depth=3), wanted.data)
    torch.save({"model": deeper.encoder.image.state_dict()}, tmp_path / "mae.pth")
    with pytest.raises(ValueError, match="weights of another model"):
        paper_pretrain.main(replace(wanted, image_weights=tmp_path / "mae.pth"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folder"], "needs --data.root"),
        (["folder", "--data.root", "nowhere"], "nowhere"),
        (["vggsound", "--data.root", "nowhere"], "nowhere"),
        (["audioset", "--data.root", "nowhere"], "nowhere"),
        (["kinetics"], "scenes, composed, folder, vggsound, audioset"),
        (
            ["folder", "--data.root", ".", "--epochs", "5"],
            "--warmup 40 must be less than --epochs 5",
        ),
        (["folder", "--data.root", ".", "--data.size", "20"], "--data.size 20"),
        (["folder", "--data.root", ".", "--data.seconds", "0.3"], "--data.seconds 0.3"),
        (["folder", "--data.root", ".", "--data.seconds", "inf"], "data.seconds"),
        (["folder", "--data.root", ".", "--data.max-skipped", "5"], "must be from 0 to 1"),
        (["folder", "--data.root", ".", "--data.rate", "8"], "--data.rate must be at least 64"),
        (["folder", "--data.root", ".", "--data.hop", "0"], "--data.hop must be from 1 to 48000"),
        (["scenes", "--data.root", "recipes"], "holds other files"),
    ],
)
def test_a_users_mistake_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command(arguments)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2 and message in line


@pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no real clips in {CLIPS}")
def test_real_clips_train_or_are_refused_by_name(tmp_path: Path) -> None:
    more = ("--data.on-error", "skip", "--data.max-skipped", "0.5")
    command(words(CLIPS, tmp_path / "run", *more))
    with (tmp_path / "run/skipped.csv").open(newline="") as file:
        skipped = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(file)}
    assert skipped == {"no_audio_track.mp4": "no audio stream"}
    assert len(rows(tmp_path / "run")) == 1


@pytest.mark.slow
def test_the_default_learns_in_eight_minutes(tmp_path: Path) -> None:
    """What the README promises, from nothing: time, loss and probe."""
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "recipes.paper_pretrain", "--run.dir", str(tmp_path / "run")],
        cwd=ROOT,
        env=env,
        timeout=480,
        check=True,
        capture_output=True,
        text=True,
    )
    table = read_rows(tmp_path / "run/metrics.csv")
    epochs: dict[int, list[float]] = {}
    for row in table:
        if "loss" in row:
            epochs.setdefault(int(row["epoch"] - 1e-9), []).append(row["loss"])
    means = [sum(losses) / len(losses) for losses in epochs.values()]
    assert len(means) == SCENES.epochs and means[-1] < 0.75 * means[0], done.stdout
    probes = [row["eval/nn_fusion"] for row in table if "eval/nn_fusion" in row]
    assert probes[-1] >= probes[0] + 10, done.stdout
    assert "paper_linear_probe scenes" in done.stdout.splitlines()[-1]
