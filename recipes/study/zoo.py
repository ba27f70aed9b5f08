"""Study: six fusion methods with encoders of equal size, on the same scenes and steps.

For each seed and method: pre-training; a linear probe on the encoder, tested with both modalities
and with one missing; fine-tuning; retrieval between images and audio that are encoded separately;
and the time of a training step. After an interruption, the same command resumes after the last
finished method.

Command:
    OMP_NUM_THREADS=1 python -m recipes.study.zoo       (three seeds: about an hour on one CPU core)
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from avblocks.data.shards import ShardSettings, make_shards
from avblocks.jsonfile import read_json, write_json
from recipes.common.cli import run_cli
from recipes.common.data import SCENES_DATA, Data, test_set, train_set
from recipes.common.model import Model
from recipes.engine.folder import plain
from recipes.engine.provenance import versions
from recipes.study.runs import read_earlier
from recipes.study.zoo_measures import autoencoder, measured, seconds_per_step
from recipes.study.zoo_settings import MODELS, Config

SPREAD = 1.1
_FREE = ("run", "seeds", "out")


PRESETS = {"study": ("three seeds of everything", Config())}


def main(config: Config, *, models: Mapping[str, Model] = MODELS) -> None:
    """Measure what is not measured yet, writing each method's numbers when it is done."""
    counts = parameters(models)
    path, settings = config.out / "zoo.json", settings_of(config, models)
    claim(config.run.folder / "settings.json", settings)
    empty: dict[str, Any] = {name: {"parameters": counts[name]} for name in models}
    earlier = read_earlier(path, settings, {"methods": dict}, option="--out")
    found = earlier.get("methods") or empty
    data = shards(config)
    for seed in range(config.seeds):
        left = [name for name, row in found.items() if len(row.get("linear_probe", [])) <= seed]
        seconds = seconds_per_step({name: models[name] for name in left}, data)
        for name in left:
            folder = config.run.folder / f"seed-{seed}" / name
            figures = measured(config, name, models[name], data, folder, seed)
            for key, value in {**figures, "seconds_per_step": seconds[name]}.items():
                found[name].setdefault(key, []).append(value)
            content = {"methods": found, "settings": settings, "versions": versions()}
            write_json(path, content)
            print(f"{path}: {name}, seed {seed}: {figures}", flush=True)


def settings_of(config: Config, models: Mapping[str, Model]) -> dict[str, Any]:
    """Return the settings that affect the results, except the seed, as JSON values."""
    values = {name: value for name, value in vars(config).items() if name not in _FREE}
    sizes = {name: asdict(model) for name, model in models.items()}
    return plain({**values, "models": sizes})


def parameters(models: Mapping[str, Model]) -> dict[str, int]:
    """Count and print the encoders' parameters; a ValueError if they are not of one size."""
    counts = {}
    for name, model in models.items():
        encoder = autoencoder(name, model, SCENES_DATA).encoder
        counts[name] = sum(p.numel() for p in encoder.parameters())
        print(f"{name}: {counts[name]:,} parameters in the encoder")
    if max(counts.values()) > SPREAD * min(counts.values()):
        raise ValueError(f"the encoders are not of one size within 10%: {counts}")
    return counts


def shards(config: Config) -> Data:
    """Make the scenes and pack them, once; return how they are read."""
    made = replace(SCENES_DATA, scenes=config.scenes)
    out = config.run.folder / "shards"
    splits = {"train": train_set(made), "test": test_set(made)}
    clips = {split: found for split, found in splits.items() if found is not None}
    make_shards(clips, out, settings=ShardSettings(fps=4.0), workers=1)
    return replace(SCENES_DATA, shards=str(out), workers=0)


def claim(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a folder of runs; a ValueError if its runs are of others."""
    if not path.is_file():
        write_json(path, settings)
    if read_json(path, dict, remedy="delete it") != settings:
        raise ValueError(f"{path} is of other settings: pass another --run.dir")


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
