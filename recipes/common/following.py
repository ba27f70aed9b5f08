"""The command that fits after a finished run."""

import shlex

from recipes.common.data_settings import Data
from recipes.common.settings import TaskConfig, TrainConfig

PROBES = {
    **{name: name for name in ("scenes", "composed", "vggsound", "vggsound_music")},
    **{name: name for name in ("audioset", "audioset_balanced")},
    "class_folder": "folder",
}
"""Presets of `paper_linear_probe` by the data of a pre-training."""


def next_command(config: TrainConfig) -> str:
    """Return the next command: a probe of a pre-trained encoder, or predictions with a head."""
    run = shlex.quote(str(config.run.folder))
    if isinstance(config, TaskConfig):
        return f"python -m recipes.predict FILE --checkpoint {run}"
    probe = PROBES.get(config.data.name)
    if probe is None:  # clips without classes
        remark = "(DIR/CLASS/*.mp4: clips by class)"
        words = "folder --data.root DIR"
    else:
        given = {name: getattr(config.data, name) for name in ("root", "shards")}
        options = [(f"--data.{name}", str(value)) for name, value in given.items() if value]
        words = [probe, *(word for pair in options for word in pair)]
        if config.data.scenes != Data(name="scenes").scenes:
            words += ["--data.scenes", *map(str, config.data.scenes)]
        remark, words = "", shlex.join(words)
    return f"python -m recipes.paper_linear_probe {words} --checkpoint {run} {remark}".rstrip()
