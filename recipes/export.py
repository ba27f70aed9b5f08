r"""The encoder of a run as a folder to keep, to share, to start from: safetensors and JSON.

Commands:
    python -m recipes.export --checkpoint RUN --out FOLDER
    python -m recipes.paper_linear_probe --checkpoint FOLDER

    RUN is the run folder of a recipe that trains, or a checkpoint in one.

Leaves, in FOLDER, in the place of what an earlier export left there:
    model.safetensors   the weights of the encoder; heads and decoders stay in the run
    config.json         the numbers that it is rebuilt from, and the checksum of the weights
    README.md           a model card: recipe, steps, data, sizes, and the code that uses it

In your own code ``avblocks.checkpoint.from_pretrained(FOLDER)`` gives the encoder. The folder holds
no code, and none is run.

Try:
    --checkpoint runs/paper_pretrain-scenes --out encoder
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from avblocks.checkpoint import from_run, load_weights, save_pretrained
from avblocks.checkpoint import saves as _saves
from avblocks.checkpoint.card import card
from avblocks.checkpoint.saves import replace_text
from recipes.common.cli import users_errors
from recipes.common.data import Data
from recipes.common.exported import is_ours
from recipes.common.model import Model, build_encoder
from recipes.common.start import find
from recipes.predict.facts import any_facts, rebuilt

RUN = "give a run folder of a recipe that trains, or a checkpoint in one"


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to export, and where."""

    checkpoint: Path | None = None
    """A run folder, whose newest whole checkpoint is taken, or a checkpoint in one."""

    out: Path | None = None
    """Folder of the encoder, and of nothing else."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What of a run's configuration an encoder is built from."""

    data: Data
    model: Model


def main(config: Config) -> None:
    """Rebuild the encoder of a run, and save it with a model card."""
    if config.checkpoint is None or config.out is None:
        raise ValueError("give a --checkpoint RUN and an --out FOLDER")
    readme = config.out / "README.md"
    if readme.exists() and not is_ours(config.out):
        raise ValueError(f"{readme} is of something else: give --out another folder")
    path = find(config.checkpoint, remedy=RUN)
    facts = any_facts(path, remedy=RUN)
    state = _saves.load(path)
    try:
        sizes = rebuilt(Sizes, {name: facts["config"].get(name) for name in ("data", "model")})
        rate = facts["config"].get("drop_path", 0.0)
        encoder = build_encoder(sizes.model, sizes.data, drop_path=rate)
        load_weights(encoder, from_run(state["state_dict"]), strict=True)
        text = card(
            encoder,
            facts,
            format=sizes.data.format,
            name=sizes.data.name,
            step=state["run"]["step"],
        )
        save_pretrained(encoder, config.out)
    except (ValueError, AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} cannot be exported: {str(error)[:400]}") from error
    replace_text(readme, text)
    print(f"{path}\n{config.out}: model.safetensors config.json README.md")
    print(f"next: python -m recipes.paper_linear_probe --checkpoint {config.out}")


def cli(args: Sequence[str] | None = None) -> None:
    """Read the command line, then call `main`; a user's mistake is one line, as in `run_cli`."""
    with users_errors():
        main(tyro.cli(Config, prog="python -m recipes.export", description=__doc__, args=args))


if __name__ == "__main__":
    cli()
