"""CAV-MAE's pre-training as a variant: it contrasts, resumes, and a probe starts from it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import TINY
from torch.testing import assert_close
from toy_runs import SMALL, toy_config

from avblocks import zoo
from recipes import cavmae_pretrain, export, paper_linear_probe
from recipes.common.model import build_encoder
from recipes.common.runs import load_encoder_run
from recipes.engine.log import Row, read_rows
from recipes.engine.run import Run

JOINT = replace(TINY, fusion="joint")


def config(root: Path, folder: Path, *, steps: int, resume: bool = False) -> cavmae_pretrain.Config:
    preset = cavmae_pretrain.PRESETS["vggsound"][1]
    data = replace(preset.data, root=root, **SMALL)
    run = Run(dir=folder, max_steps=steps, resume=resume)
    return replace(preset, data=data, model=JOINT, batch=4, epochs=4, warmup=1, run=run)


@pytest.mark.parametrize("name", cavmae_pretrain.PRESETS)
def test_every_preset_is_of_a_model_that_can_be_built(name: str) -> None:
    preset = cavmae_pretrain.PRESETS[name][1]
    with torch.device("meta"):
        mae = cavmae_pretrain.build(preset.model, preset.data, contrast_weight=0.01)
    assert mae.encoder.dim == preset.model.dim
    # The masked autoencoder of CAV-MAE has its own contrast, and needs both modalities.
    assert preset.contrast == preset.cutmix == preset.left_out == 0


def steps_of(folder: Path) -> list[Row]:
    return [row for row in read_rows(folder / "metrics.csv") if "loss" in row]


@pytest.fixture(scope="module")
def trained(toy_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cavmae")
    cavmae_pretrain.main(config(toy_scenes, folder, steps=2))
    return folder


def test_the_loss_is_of_both_modalities_and_the_contrast(trained: Path) -> None:
    for row in steps_of(trained):
        parts = row["loss_image"] + row["loss_audio"] + row["loss_contrast"]
        assert row["loss"] == pytest.approx(parts, rel=1e-5)
        assert row["accuracy"] in (0, 0.25, 0.5, 0.75, 1)
    assert (trained / "reconstruction.png").is_file()


def test_the_weight_is_that_of_the_contrast(
    trained: Path, toy_scenes: Path, tmp_path: Path
) -> None:
    wanted = replace(config(toy_scenes, tmp_path, steps=1), contrast_weight=1.0)
    cavmae_pretrain.main(wanted)
    heavy, light = steps_of(tmp_path)[0], steps_of(trained)[0]
    assert heavy["loss_contrast"] == pytest.approx(100 * light["loss_contrast"], rel=1e-4)
    assert heavy["loss_image"] == light["loss_image"]


def test_a_stopped_run_goes_on_exactly(trained: Path, toy_scenes: Path, tmp_path: Path) -> None:
    cavmae_pretrain.main(config(toy_scenes, tmp_path, steps=1))
    cavmae_pretrain.main(config(toy_scenes, tmp_path, steps=2, resume=True))
    losses = [[row["loss"] for row in steps_of(folder)] for folder in (trained, tmp_path)]
    assert losses[0] == losses[1] and len(losses[0]) == 2


def test_a_probe_and_an_export_start_from_it(
    trained: Path, toy_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = toy_config("probe", toy_scenes, tmp_path / "probe", max_steps=1)
    paper_linear_probe.main(replace(probe, model=JOINT, checkpoint=trained))
    with pytest.raises(ValueError, match=r"pass --model\.fusion joint"):
        paper_linear_probe.main(
            replace(probe, checkpoint=trained, run=replace(probe.run, dir=tmp_path / "other"))
        )
    export.main(export.Config(checkpoint=trained, out=tmp_path / "folder"))
    encoder, front_end = load_encoder_run(tmp_path / "folder")
    found = zoo.load(next((trained / "checkpoints").glob("*.ckpt")))
    assert found.kind == "avblocks_joint"
    saved = torch.load(next((tmp_path / "probe").rglob("*.ckpt")), weights_only=True)["state_dict"]
    start = "model.encoder."
    probed = {n.removeprefix(start): x for n, x in saved.items() if n.startswith(start)}
    assert_close(dict(encoder.state_dict()), probed)
    assert_close(dict(found.encoder.state_dict()), probed)
    assert front_end.format.mels == 32


def test_other_fusions_are_refused(toy_scenes: Path, tmp_path: Path) -> None:
    wanted = config(toy_scenes, tmp_path, steps=1)
    with pytest.raises(ValueError, match=r"CAV-MAE needs --model\.fusion joint"):
        cavmae_pretrain.main(replace(wanted, model=TINY))


def test_what_the_joint_encoder_has_not_is_refused(toy_scenes: Path, tmp_path: Path) -> None:
    data = config(toy_scenes, tmp_path, steps=1).data
    with pytest.raises(ValueError, match="pass --drop-path 0"):
        build_encoder(JOINT, data, drop_path=0.1)
    with pytest.raises(ValueError, match="is for one image"):
        build_encoder(JOINT, replace(data, frames=2))
