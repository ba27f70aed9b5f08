"""Probes of encoders of any file: their rows, their front ends, and how the study resumes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from command_lines import command
from published import dinov2_state, mae_state
from torch import nn
from toy_runs import DATA, ToyRun

from avblocks import zoo
from avblocks.seed import seed_all
from avblocks.zoo.front_end import KaldiMel
from recipes import export
from recipes.common.data import train_test_sets
from recipes.common.probed import load_probed, untrained
from recipes.engine.run import Folder
from recipes.study import probe_heads, probes

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def files(toy_run: Callable[[str], ToyRun], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run, its export, and published files of an encoder of images and one of spectrograms."""
    folder, run = tmp_path_factory.mktemp("files"), toy_run("probe").folder
    command(export)(["--checkpoint", str(run), "--out", str(folder / "export")])
    seed_all(0)
    torch.save(dinov2_state(dim=64, side=2), folder / "dinov2.pth")
    audio = {"model": mae_state(channels=1, patches=512, dim=64)}
    torch.save(audio, folder / "audiomae.pth")
    return [run, folder / "export", folder / "dinov2.pth", folder / "audiomae.pth"]


@pytest.fixture
def config(toy_scenes: Path, tmp_path: Path, files: list[Path]) -> probes.Config:
    data = replace(DATA, name="vggsound", root=toy_scenes)
    sizes: dict[str, Any] = {"epochs": 2, "warmup": 1, "batch": 4}
    return probes.Config(
        data=data, checkpoint=tuple(files), run=Folder(dir=tmp_path / "run"), **sizes
    )


def rows_of(config: probes.Config) -> Rows:
    return json.loads((config.run.folder / "probes.json").read_text())["rows"]


def test_every_encoder_has_its_rows(
    config: probes.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, given=("both", "image", "audio"))
    probes.main(config)
    rows, said = rows_of(config), capsys.readouterr().out
    found = {(Path(r["checkpoint"]).name, r["kind"], r["given"], r["start"]) for r in rows}
    run, *_ = config.checkpoint
    wanted = {
        (name, kind, given, start)
        for name, kind, some in (
            (run.name, "avblocks", ("both", "image", "audio")),
            ("export", "avblocks", ("both", "image", "audio")),
            ("dinov2.pth", "dinov2", ("image",)),
            ("audiomae.pth", "mae", ("audio",)),
        )
        for given in some
        for start in ("checkpoint", "random")
    }
    assert found == wanted and len(rows) == 2 * len(wanted)
    assert said.count("random  ") == len(wanted)
    streams = {(r["given"], tuple(r["scores"])) for r in rows if r["kind"] == "avblocks"}
    assert ("image", ("all", "image", "fusion")) in streams
    assert {tuple(r["scores"]) for r in rows if r["kind"] == "dinov2"} == {("all", "image")}
    assert (config.run.folder / "probes.png").stat().st_size > 5000
    assert [path.name for path in config.run.folder.iterdir() if path.is_dir()] == []
    by_export = [r["scores"] for r in rows if r["checkpoint"].endswith("export")]
    assert by_export == [r["scores"] for r in rows if r["checkpoint"] == str(run)]


def test_the_heads_of_all_encoders_are_trained(config: probes.Config) -> None:
    """Eight clips, tested on themselves, are remembered from the features of any encoder."""
    train, _ = train_test_sets(config.data, needs="classes")
    config = replace(config, checkpoint=config.checkpoint[:1], given=("both",), epochs=60, lr=0.01)
    with patch.object(probes, "train_test_sets", return_value=(train, train)):
        probes.main(config)
    assert [row["scores"]["all"]["top1"] for row in rows_of(config)] == [100.0] * 4
    assert {row["head"] for row in rows_of(config)} == {"linear", "attentive"}


def test_it_resumes_and_takes_further_checkpoints(config: probes.Config, tmp_path: Path) -> None:
    config = replace(config, given=("image",), checkpoint=config.checkpoint[:1])
    probes.main(config)
    whole = (config.run.folder / "probes.json").read_bytes()
    again = replace(config, run=Folder(dir=tmp_path / "again"))
    fit, left = probe_heads.fit, [1]

    def stopped(*args: Any, **options: Any) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        fit(*args, **options)

    with patch.object(probe_heads, "fit", stopped), pytest.raises(KeyboardInterrupt):
        probes.main(again)
    assert len(rows_of(again)) == 1
    probes.main(again)
    assert (again.run.folder / "probes.json").read_bytes() == whole
    with patch.object(probe_heads, "fit", side_effect=AssertionError):
        probes.main(replace(again, given=("both", "image"), heads=(), checkpoint=again.checkpoint))
        probes.main(again)
    with pytest.raises(ValueError, match=r"probes\.json is of other settings"):
        probes.main(replace(again, lr=0.1))


def test_encoders_are_given_what_they_were_trained_on(
    files: list[Path], config: probes.Config
) -> None:
    _, exported, image, audio = (load_probed(path, config.data) for path in files)
    assert exported.data(config.data).format == config.data.format
    assert image.data(config.data).size == 28 and image.data(config.data).augment is False
    sizes = audio.data(config.data)
    assert (sizes.mels, sizes.seconds, sizes.hop) == (128, 10.24, 160)
    assert isinstance(audio.front_end.log_mel, KaldiMel)
    assert image.parameters == sum(p.numel() for p in zoo.load(files[2]).model.parameters())


def test_tokens_are_those_of_the_one_modality(files: list[Path], config: probes.Config) -> None:
    probed, loaded = load_probed(files[2], config.data), zoo.load(files[2])
    x = torch.rand(2, 3, 28, 28)
    with torch.no_grad():
        out = probed.encoder(image=x, audio=None)
        assert out.audio is None and out.fusion.shape[1] == 0
        torch.testing.assert_close(out.image, loaded.model(x)[:, 5:])  # class token, registers


def test_an_untrained_encoder_has_nothing_of_the_trained_one(
    files: list[Path], config: probes.Config
) -> None:
    probed = load_probed(files[2], config.data)
    for parameter in probed.encoder.parameters():
        nn.init.constant_(parameter, 7.0)
    first, again, other = (probed.untrained(seed).encoder for seed in (0, 0, 1))
    for name, value in first.named_parameters():
        assert value.numel() == 0 or not (value == 7).any(), name
        assert torch.equal(value, again.get_parameter(name))
    kernel = "image.patch_embed.proj.weight"
    assert not torch.equal(first.get_parameter(kernel), other.get_parameter(kernel))
    assert bool((probed.encoder.get_parameter(kernel) == 7).all())


def test_a_parameter_that_nobody_initializes_is_named(
    files: list[Path], config: probes.Config
) -> None:
    encoder = load_probed(files[2], config.data).encoder

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    encoder.add_module("odd", Odd())
    with pytest.raises(ValueError, match="odd: Odd has no reset_parameters"):
        untrained(encoder, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoint": ()}, "give --checkpoint A B"),
        ({"batch": 1}, "a --batch of 2 or more"),
        ({"warmup": 2}, "--warmup < --epochs"),
        ({"checkpoint": (Path("nowhere"),)}, "nowhere does not exist"),
    ],
)
def test_mistakes_are_named(config: probes.Config, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probes.main(replace(config, **changes))
