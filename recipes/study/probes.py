r"""Study: linear and attentive probes on frozen encoders of any supported files.

Each clip is encoded once, with the front end and the clip format that its encoder was trained with;
then a head for each kind of pooling is trained on the tokens. The same heads are trained on an
untrained encoder of the same sizes; the difference is the gain of pre-training.

Commands:
    python -m recipes.study.probes --checkpoint RUN1 RUN2    (scenes: minutes on two CPU cores)
    python -m recipes.study.probes vggsound --data.root DIR --checkpoint FILE1 FILE2
    python -m recipes.study.probes folder --data.root DIR --checkpoint FILE     (DIR/CLASS/*.mp4)

    Checkpoints are runs, folders of recipes.export, and files that avblocks.zoo loads. Encoders of
    one modality are given that one.

Leaves, in the run folder:
    probes.json     scores of each encoder, input modality and head, written one by one
    probes.png      the first score of each

After an interruption, the same command resumes after the last score. Further checkpoints add rows.
The features of one encoder are on disk while it is probed: 4 bytes for each number of its tokens.

Source of the attentive probe: Bardes et al., "Revisiting feature prediction for learning visual
representations from video" (V-JEPA, arXiv 2404.08471); of the norm before the linear layer: MAE.

Try:
    --heads linear
"""

from collections.abc import Iterator
from typing import Any

from avblocks.data.datasets import ClipSet
from avblocks.jsonfile import write_json
from recipes.common.cli import run_cli
from recipes.common.data import FREE, train_test_sets
from recipes.common.probed import Probed, load_probed
from recipes.common.scores import finite
from recipes.engine.folder import plain
from recipes.engine.provenance import versions
from recipes.engine.resuming import flat
from recipes.study.probe_heads import Row, probe_heads
from recipes.study.probe_settings import PRESETS, Config
from recipes.study.probes_figure import draw, table
from recipes.study.runs import read_earlier

_KEY = ("checkpoint", "sha256", "given", "start", "head")


def main(config: Config) -> None:
    """Probe what is not probed yet, writing each row when it is known; then the figure."""
    if not config.checkpoint or config.batch < 2 or not 0 <= config.warmup < config.epochs:
        raise ValueError(
            "give --checkpoint A B ..., a --batch of 2 or more, and --warmup < --epochs"
        )
    clips = train_test_sets(config.data, needs="classes")
    path = config.run.folder / "probes.json"
    earlier = read_earlier(path, settings(config), {"rows": [dict]}, option="--run.dir")
    rows: list[Row] = earlier.get("rows", [])
    for checkpoint in dict.fromkeys(config.checkpoint):
        for row in probe(load_probed(checkpoint, config.data), config, clips, rows):
            rows.append(row)
            content = {"rows": rows, "settings": settings(config), "versions": versions()}
            write_json(path, finite(content))
    print(table(rows))
    draw(rows, path.with_suffix(".png"))
    print(f"in {path.parent}: {path.name} {path.stem}.png")


def settings(config: Config) -> dict[str, Any]:
    """Return the settings that all rows share."""
    values = flat(plain(config))
    free = (*FREE, "heads", "given", "random", "run.dir")
    return {name: value for name, value in values.items() if name not in free}


def probe(
    probed: Probed, config: Config, clips: tuple[ClipSet, ClipSet], rows: list[Row]
) -> Iterator[Row]:
    """Yield the rows of an encoder, and of one at its initialization, that are missing."""
    done = {tuple(row[name] for name in _KEY) for row in rows}
    starts = ("checkpoint", "random") if config.random else ("checkpoint",)
    for start in starts:
        for given in (one for one in probed.given if one in config.given):
            about: Row = {"checkpoint": str(probed.path), "sha256": probed.sha256}
            about |= {"kind": probed.kind, "parameters": probed.parameters}
            about |= {"start": start, "given": given}
            missing = [about | {"head": head} for head in config.heads]
            missing = [row for row in missing if tuple(row[name] for name in _KEY) not in done]
            if missing:
                chosen = probed.untrained(config.seed) if start == "random" else probed
                yield from probe_heads(chosen, config, clips, missing)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
