r"""Export the model of a run as a folder of safetensors and JSON, to share or to fine-tune.

Commands:
    python -m recipes.export --checkpoint RUN --out FOLDER
    python -m recipes.paper_linear_probe --checkpoint FOLDER

    RUN is the run folder of a recipe that trains, a checkpoint in one, or a published file that
    avblocks.zoo knows, such as CAV-MAE's, of which the encoder is exported.

Leaves, in FOLDER, replacing an earlier export:
    model.safetensors   weights of the encoder, and of the head if the run has one; no decoders
    config.json         arguments from which both are rebuilt, clip format, task and classes, and
                        the checksum of the weights
    README.md           a model card: license, recipe, steps, data, sizes, scores, and code that
                        uses the model

In your own code, ``avblocks.checkpoint.from_pretrained(FOLDER)`` returns the encoder, its front end
and its head, and ``avblocks.tasks.load_task(FOLDER)`` the task module of all three. The folder
contains no code, and none is run.

Try:
    --checkpoint runs/paper_pretrain-scenes --out encoder
    --encoder-only                                              (of a run with a head)
    --license cc-by-4.0                 (of the weights, by its name on the Hugging Face Hub)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avblocks import zoo
from avblocks.checkpoint import save_pretrained
from avblocks.checkpoint.card import card
from avblocks.checkpoint.folder import is_ours
from avblocks.files import write_text
from avblocks.jsonfile import read_json
from avblocks.tasks import save_task
from recipes.common.cli import run_options
from recipes.common.foreign import is_foreign
from recipes.common.run_files import check_out, find
from recipes.common.runs import SavedRun, open_saved
from recipes.engine.log import read_rows
from recipes.engine.resuming import flat

RUN = "give a run folder of a recipe that trains, or a checkpoint in one"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    checkpoint: Path | None = None
    """A run folder (its newest complete checkpoint is taken), a checkpoint in one, or a file."""

    out: Path | None = None
    """Folder for the exported model and nothing else."""

    allow: tuple[str, ...] = ()
    """Suffixes of the names of weights in a published file that may be dropped although the
    published model uses them, such as ls1.gamma."""

    encoder_only: bool = False
    """Do not export the head and the task of a run that has them."""

    license: str = "unknown"
    """License of the weights, for the model card, by its name on the Hugging Face Hub; check what
    the licenses of the training data and of the initial weights allow."""


def main(config: Config) -> None:
    """Rebuild the model of a run, and save it with a model card."""
    if config.checkpoint is None or config.out is None:
        raise ValueError("give a --checkpoint RUN and an --out FOLDER")
    check_out(config.out)
    readme = config.out / "README.md"
    if readme.exists() and not is_ours(config.out):
        raise ValueError(f"{readme} is of something else: give --out another folder")
    path = find(config.checkpoint, remedy=RUN)
    if path.suffix != ".ckpt" and is_foreign(path):
        return _export_foreign(path, config, name=config.checkpoint.name)
    run = open_saved(path, remedy=RUN)
    whole = run.has_head and not config.encoder_only
    export = export_task if whole else export_encoder
    text = export(run, config.out, {"license": config.license, **recorded(run)})
    write_text(readme, text)
    print(f"{path}\n{config.out}: model.safetensors config.json README.md")
    use = "predict FILE" if whole else "paper_linear_probe"
    print(f"next: python -m recipes.{use} --checkpoint {config.out}")


_FOREIGN = """---
library_name: avblocks
license: {license}
---

# {kind}

The encoder of `{name}`. Its authors state the license, the training data and the scores of that
file.
"""


def _export_foreign(path: Path, config: Config, *, name: str) -> None:
    """Save the encoder of a published file, which has no front end."""
    assert config.out is not None
    out, loaded = config.out, zoo.load(path, allow=config.allow)
    encoder: Any = loaded.encoder  # a module, which the protocol of a stream does not say
    save_pretrained(encoder, out)
    text = _FOREIGN.format(license=config.license, kind=loaded.kind, name=name)
    write_text(out / "README.md", text)
    print(f"{path}\n{loaded.report}\n{out}: model.safetensors config.json README.md")
    print(f"next: python -m recipes.paper_linear_probe --checkpoint {out}")


def recorded(run: SavedRun) -> dict[str, Any]:
    """Return the scores of the final test or of the last evaluation of a run, and their data.

    Nothing if the checkpoint is not the last one, or there is none of these.
    """
    folder, run_config = run.path.parent.parent, run.run_config
    rows = read_rows(folder / "metrics.csv") if (folder / "metrics.csv").is_file() else []
    if not rows or rows[-1]["step"] != run.step:
        return {}
    scores = {n.removeprefix("eval/"): v for n, v in rows[-1].items() if n.startswith("eval/")}
    if (file := folder / "scores.json").is_file():
        scores = flat(read_json(file, {"scores": dict}, remedy="remove it")["scores"])
    clips = run_config.get("clips", {}).get("test", {}).get("on_disk", "the")
    name = run_config["config"]["data"]["name"]  # and not its folder
    return {
        "scores": {n: value for n, value in scores.items() if isinstance(value, int | float)},
        "tested": f"{clips} test clips of {name}",
    }


def export_encoder(run: SavedRun, out: Path, about: Mapping[str, Any]) -> str:
    """Save the encoder of a run with its front end; return the model card."""
    encoder, front_end = run.encoder()
    text = card(encoder, run.run_config, format=front_end.format, step=run.step, **about)
    save_pretrained(encoder, out, front_end=front_end)
    return text


def export_task(run: SavedRun, out: Path, about: Mapping[str, Any]) -> str:
    """Save encoder, front end, head and task of a run; return the model card."""
    (task, _), classes = run.task(), run.run_config["classes"]
    head = {"task": type(task).__name__.lower(), "classes": len(classes)}
    format = task.front_end.format
    text = card(task.encoder, run.run_config, format=format, step=run.step, task=head, **about)
    save_task(task, out, classes=classes, trained_on=run.trained_on)
    return text


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)
