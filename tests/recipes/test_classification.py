"""Linear probe and fine-tuning, small: where they start, what they leave, exact resume."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import TINY
from toy_runs import with_checkpoint

from recipes import paper_finetune, paper_linear_probe, paper_pretrain
from recipes.common.model import build_encoder
from recipes.common.run_files import find
from recipes.common.start import start_encoder
from recipes.engine.log import read_rows
from recipes.engine.run import Run

MAINS = {"probe": paper_linear_probe, "finetune": paper_finetune}


@pytest.fixture(scope="module")
def root(toy_scenes: Path) -> Path:
    return toy_scenes


def small(preset: object, root: Path, folder: Path, **run: object) -> object:
    """A preset cut down to a second's work."""
    data = replace(preset.data, root=root, seconds=0.5, size=16, mels=32, workers=0)
    return replace(preset, data=data, model=TINY, batch=4, run=Run(dir=folder, **run))


@pytest.fixture(scope="module")
def pretrained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    config = small(paper_pretrain.VGGSOUND, root, folder, max_steps=2)
    paper_pretrain.main(replace(config, epochs=2, warmup=1))
    return folder


@pytest.fixture(scope="module", params=MAINS)
def recipe(request: pytest.FixtureRequest, root: Path, pretrained: Path) -> Callable[..., Path]:
    module = MAINS[request.param]

    def run(folder: Path, *, settings: dict | None = None, **options: object) -> Path:
        config = small(module.VGGSOUND, root, folder, **options)
        asked = {"checkpoint": pretrained, "epochs": 2, "warmup": 1, "windows": 2}
        module.main(replace(config, **(asked | (settings or {}))))
        return folder

    return run


@pytest.fixture(scope="module")
def whole(
    recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The folder of a run from beginning to end, and what it said."""
    with redirect_stdout(io.StringIO()) as said:
        folder = recipe(tmp_path_factory.mktemp("whole"))
    return folder, said.getvalue()


def losses(folder: Path) -> list[tuple[float, ...]]:
    names = ("step", "loss", "lr", "grad_norm")
    return [tuple(r[n] for n in names) for r in read_rows(folder / "metrics.csv") if "loss" in r]


def test_leaves_scores_predictions_and_pictures(whole: tuple[Path, str]) -> None:
    folder, said = whole
    assert "left at initialization: none" in said and "given" in said
    found = json.loads((folder / "scores.json").read_text())
    assert found["clips"] == 8 and found["windows"] == 2
    assert set(found["scores"]) == {"both", "image", "audio"}
    assert set(found["scores"]["both"]) == {"all", "image", "audio", "fusion"}
    assert set(found["scores"]["image"]) == {"all", "image", "fusion"}
    assert set(found["scores"]["audio"]) == {"all", "audio", "fusion"}
    with (folder / "predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len({row["path"] for row in table}) == 8
    hits = sum(row["classes"] == row["class_1"] for row in table)
    assert found["scores"]["both"]["all"]["top1"] == pytest.approx(100 * hits / 8)
    for name in ("classes.png", "confusion.png", "loss.png"):
        assert (folder / name).stat().st_size > 5000


def test_resume_is_exact(
    recipe: Callable[..., Path], whole: tuple[Path, str], tmp_path: Path
) -> None:
    whole, _ = whole
    recipe(tmp_path / "parts", max_steps=1)
    assert not (tmp_path / "parts/scores.json").exists()
    parts = recipe(tmp_path / "parts", resume=True)
    assert len(losses(whole)) > 2 and losses(whole) == losses(parts)
    for name in ("scores.json", "predictions.csv"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    states = [
        torch.load(find(folder), weights_only=True)["state_dict"] for folder in (whole, parts)
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_probe_leaves_the_encoder_and_fine_tuning_does_not(
    whole: tuple[Path, str], pretrained: Path, request: pytest.FixtureRequest
) -> None:
    folder, _ = whole
    before, after = (
        torch.load(find(path), weights_only=True)["state_dict"] for path in (pretrained, folder)
    )
    encoder = {name for name in before if name.startswith("model.mae.encoder.")}
    same = {n for n in encoder if torch.equal(before[n], after[n.replace("model.mae.", "model.")])}
    if request.node.callspec.params["recipe"] == "probe":
        assert same == encoder
    else:  # One aggregation token a modality makes one pair, of which nothing depends on q and k.
        assert all(".pairs." in name for name in same)


@pytest.mark.parametrize(
    ("recipe", "given"), [("probe", "image"), ("finetune", "audio")], indirect=["recipe"]
)
def test_one_modality_alone(recipe: Callable[..., Path], tmp_path: Path, given: str) -> None:
    folder = recipe(tmp_path / "run", settings={"given": given})
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert set(scores) == {given} and set(scores[given]) == {"all", given, "fusion"}


def test_a_random_start_is_said(
    recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(tmp_path / "run", settings={"checkpoint": None}, max_steps=1)
    assert "the encoder starts at random" in capsys.readouterr().out


def test_what_is_no_checkpoint_is_refused(pretrained: Path, root: Path, tmp_path: Path) -> None:
    data = small(paper_pretrain.VGGSOUND, root, tmp_path).data
    encoder = build_encoder(TINY, data)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    torch.save({"something.else": torch.zeros(3)}, tmp_path / "strange.pth")
    shutil.copytree(pretrained, tmp_path / "damaged")
    newest = find(tmp_path / "damaged")
    newest.write_bytes(newest.read_bytes()[:-100])
    for path, message in (
        (tmp_path / "nothing", "does not exist: pre-train first"),
        (tmp_path, "holds no whole checkpoint"),
        (tmp_path / "damaged", "holds no whole checkpoint"),
        (tmp_path / "strange.pth", r"strange\.pth: weights of no known kind"),
    ):
        with pytest.raises(ValueError, match=message):
            start_encoder(encoder, with_checkpoint(path))
    wider = replace(TINY, dim=32, num_tokens=(4, 2, 2))
    with pytest.raises(
        ValueError, match=r"pass --model\.dim 16 --model\.num-tokens 2 1 1, or none of these$"
    ):
        start_encoder(build_encoder(wider, data), with_checkpoint(pretrained, model=wider))
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_presets_hold_the_papers_numbers() -> None:
    probe, finetune = paper_linear_probe.VGGSOUND, paper_finetune.VGGSOUND
    assert (probe.batch, probe.run.accumulate, probe.epochs, probe.warmup, probe.base_lr) == (
        64,
        4,
        60,
        10,
        0.3,
    )
    audioset = paper_linear_probe.AUDIOSET
    assert (audioset.batch, audioset.epochs, audioset.warmup) == (256, 300, 20)
    assert (finetune.batch, finetune.run.accumulate, finetune.epochs, finetune.warmup) == (
        32,
        4,
        100,
        20,
    )
    assert (finetune.base_lr, finetune.layer_decay, finetune.weight_decay) == (3e-4, 0.75, 0.05)
    assert (finetune.drop_path, finetune.mixup, finetune.smoothing) == (0.2, 1.0, 0.1)
    assert finetune.balanced and finetune.windows == 10


def vggsounder_root(root: Path, folder: Path) -> Path:
    """The toy scenes with VGGSounder's table: own class audible; of the first, another visible."""
    folder.mkdir()
    for path in root.iterdir():
        (folder / path.name).symlink_to(path)
    with (root / "vggsound.csv").open(newline="") as file:
        table = list(csv.reader(file))
    names, test = sorted({row[2] for row in table}), [row for row in table if row[3] == "test"]
    lines = [(f"{row[0]}_{int(row[1]):06d}", row[2], "A") for row in test]
    other = next(name for name in names if name != lines[0][1])
    lines += [(lines[0][0], other, "V")]
    lines += [("gone_gone_g_000002", name, "AV") for name in names]
    with (folder / "vggsounder.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "label", "modality", "background_music"])
        writer.writerows([*line, "False"] for line in lines)
    return folder


def test_vggsounder_is_a_test_set(root: Path, pretrained: Path, tmp_path: Path) -> None:
    config = small(paper_linear_probe.PRESETS["vggsounder"][1], root, tmp_path / "run")
    data = replace(config.data, root=vggsounder_root(root, tmp_path / "data"))
    settings = {"checkpoint": pretrained, "epochs": 2, "warmup": 1}
    paper_linear_probe.main(replace(config, data=data, **settings))
    found = json.loads((tmp_path / "run/scores.json").read_text())
    rows = found["labels_by_modality"]
    kinds = {title.partition(" labels")[0] for title in rows} - {"modality confusion"}
    assert kinds == {"all", "audible", "visible", "only audible", "only visible"}  # none is AV
    assert set(rows["modality confusion"]) == {"image", "audio", "either_alone"}
    assert rows["all labels, given both"]["hit_rate@1"] == found["scores"]["both"]["all"]["top1"]
    with (tmp_path / "run/predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["classes"].count("|") for row in table].count(1) == 1
    heard = [row["class_1"] in row["classes"].split("|") for row in table]
    assert rows["all labels, given both"]["hit_rate@1"] == pytest.approx(100 * sum(heard) / 8)
    assert not (tmp_path / "run/confusion.png").exists()
