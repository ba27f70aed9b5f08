"""Files of the zoo as `--checkpoint` of the recipes that train a head."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from published import cavmae_state, mae_state
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from toy_runs import RECIPES, toy_config

from avblocks import zoo
from recipes import export


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A CAV-MAE and an AudioMAE of width 64 and patches of 8, under their published names."""
    torch.manual_seed(0)
    states = {"cavmae": cavmae_state()}
    states["audiomae"] = mae_state(channels=1, patches=64, dim=64, patch=8)
    folder = tmp_path_factory.mktemp("files")
    for name, state in states.items():
        save_file(state, folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in states}


def config_of(recipe: str, checkpoint: Path, root: Path, folder: Path) -> Any:
    config = toy_config(recipe, root, folder, max_steps=2)
    model = replace(config.model, dim=64, heads=1)
    return replace(config, model=model, checkpoint=checkpoint)


@pytest.mark.parametrize("recipe", ["probe", "finetune", "localize", "segment", "separate"])
def test_cavmae_trains_wherever_ours_does(
    recipe: str, files: dict[str, Path], toy_scenes: Path, tmp_path: Path
) -> None:
    config = config_of(recipe, files["cavmae"], toy_scenes, tmp_path)
    RECIPES[recipe][0].main(config)
    saved = torch.load(next(tmp_path.rglob("step-*.ckpt")), weights_only=True)["state_dict"]
    encoder = zoo.load(files["cavmae"]).encoder
    trained = {
        n.removeprefix("model.encoder."): x
        for n, x in saved.items()
        if n.startswith("model.encoder.")
    }
    assert trained.keys() == encoder.state_dict().keys()
    if recipe == "probe":  # frozen: what the file holds
        assert_close(trained, dict(encoder.state_dict()))


def test_audiomae_is_the_audio_stream(
    files: dict[str, Path],
    toy_scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = config_of("probe", files["audiomae"], toy_scenes, tmp_path)
    RECIPES["probe"][0].main(replace(config, given="audio"))
    assert "holds no image encoder and no fusion" in capsys.readouterr().out
    saved = torch.load(next(tmp_path.rglob("step-*.ckpt")), weights_only=True)["state_dict"]
    stream = zoo.load(files["audiomae"]).model
    start = "model.encoder.audio."
    found = {n.removeprefix(start): x for n, x in saved.items() if n.startswith(start)}
    assert_close(found, dict(stream.state_dict()))


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_transformers(
    file: str, files: dict[str, Path], toy_scenes: Path, tmp_path: Path
) -> None:
    """Its weights are trained on, with the heads of its configuration."""
    state, folder = load_file(files["audiomae"]), tmp_path / "hf"
    folder.mkdir()
    (torch.save if file.endswith(".bin") else save_file)(state, folder / file)
    (folder / "config.json").write_text('{"model_type": "vit", "num_attention_heads": 4}')
    config = config_of("probe", folder, toy_scenes, tmp_path / "run")
    config = replace(config, given="audio")
    encoder = RECIPES["probe"][0].build(config, classes=("a", "b")).encoder
    assert encoder.audio.blocks[0].attn.num_heads == 4
    RECIPES["probe"][0].main(config)
    saved = torch.load(next(tmp_path.rglob("step-*.ckpt")), weights_only=True)["state_dict"]
    name = "blocks.1.mlp.fc2.weight"
    assert_close(saved[f"model.encoder.audio.{name}"], state[name])


@pytest.mark.parametrize("recipe", ["localize", "segment"])
def test_maps_of_images_need_an_image_encoder(
    recipe: str, files: dict[str, Path], toy_scenes: Path, tmp_path: Path
) -> None:
    config = config_of(recipe, files["audiomae"], toy_scenes, tmp_path)
    with pytest.raises(ValueError, match="encodes audio alone, and this recipe makes maps of the"):
        RECIPES[recipe][0].build(config, classes=("a", "b"))


def test_weights_without_a_place_are_refused_or_allowed(
    files: dict[str, Path], toy_scenes: Path, tmp_path: Path
) -> None:
    scale = {"blocks.1.attn.q_norm.weight": torch.full((64,), 2.0)}
    save_file(load_file(files["audiomae"]) | scale, tmp_path / "normed.safetensors")
    config = config_of("probe", tmp_path / "normed.safetensors", toy_scenes, tmp_path / "run")
    with pytest.raises(ValueError, match=r"q_norm\.weight.*, in recipes --allow\)"):
        RECIPES["probe"][0].main(config)
    assert not (tmp_path / "run").exists()
    RECIPES["probe"][0].main(replace(config, allow=("q_norm.weight",)))
    saved = torch.load(next(tmp_path.rglob("step-*.ckpt")), weights_only=True)["state_dict"]
    for name, value in zoo.load(files["audiomae"]).model.state_dict().items():
        assert_close(saved[f"model.encoder.audio.{name}"], value)
    options = export.Config(checkpoint=config.checkpoint, out=tmp_path / "folder")
    with pytest.raises(ValueError, match="--allow"):
        export.main(options)
    export.main(replace(options, allow=("q_norm.weight",)))
    same = zoo.load(files["audiomae"]).model.state_dict()
    assert_close(dict(zoo.load(tmp_path / "folder").model.state_dict()), dict(same))


def test_an_export_of_cavmae_is_a_checkpoint_too(
    files: dict[str, Path], toy_scenes: Path, tmp_path: Path
) -> None:
    export.main(export.Config(checkpoint=files["cavmae"], out=tmp_path / "folder"))
    encoder: Any = zoo.load(tmp_path / "folder").encoder
    same: Any = zoo.load(files["cavmae"]).encoder
    assert_close(dict(encoder.state_dict()), dict(same.state_dict()))
    config = config_of("probe", tmp_path / "folder", toy_scenes, tmp_path)
    model = RECIPES["probe"][0].build(config, classes=("a", "b"))
    assert_close(dict(model.encoder.state_dict()), dict(same.state_dict()))


def test_an_export_of_one_modality_is_a_checkpoint_too(
    files: dict[str, Path], toy_scenes: Path, tmp_path: Path
) -> None:
    export.main(export.Config(checkpoint=files["audiomae"], out=tmp_path / "folder"))
    found, same = zoo.load(tmp_path / "folder"), zoo.load(files["audiomae"])
    assert found.kind == "mae" and found.front_end.format == same.front_end.format
    assert_close(dict(found.model.state_dict()), dict(same.model.state_dict()))
    config = config_of("probe", tmp_path / "folder", toy_scenes, tmp_path)
    model = RECIPES["probe"][0].build(config, classes=("a", "b"))
    assert_close(dict(model.encoder.audio.state_dict()), dict(same.model.state_dict()))


def test_another_width_names_the_option(
    files: dict[str, Path], toy_scenes: Path, tmp_path: Path
) -> None:
    config = toy_config("probe", toy_scenes, tmp_path, max_steps=2)
    with pytest.raises(ValueError, match=r"pass --model\.dim 64"):
        RECIPES["probe"][0].build(replace(config, checkpoint=files["cavmae"]), classes=("a", "b"))
