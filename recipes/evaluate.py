r"""Evaluate a trained model: the final test of its recipe, without a training.

Commands:
    python -m recipes.evaluate RUN
    python -m recipes.evaluate RUN --data.root DIR --data.name vggss --data.test-list FILE
    python -m recipes.evaluate EXPORT --data.name avsbench_s4 --data.root DIR
    python -m recipes.evaluate FILE --recipe paper_segment --data.name avsbench_s4 --data.root DIR

    RUN is the run folder of paper_finetune, paper_linear_probe, paper_localize, paper_separate or
    paper_segment, or a checkpoint in one; EXPORT is a folder of recipes.export; FILE is a
    classifier, separator or segmenter published for DeepAVFusion.

Leaves, in --out:
    evaluation.json     the model, and the settings given for it
    scores.json and the figures of the recipe; a RUN gets exactly its scores on its own test clips
    random_encoder/     (with --controls) the same test with an untrained encoder under the trained
                        head
    shuffled_labels/    (with --controls) the same test with the labels or boxes of other clips

Try:
    --controls
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from avblocks.jsonfile import read_json, write_json
from recipes.common.cli import run_options
from recipes.common.controls import CONTROLS
from recipes.common.run_files import check_out
from recipes.common.sets import DataName
from recipes.common.tested import Tested, load_tested, run_test

SUBJECT = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class TestData:
    """Test clips; settings that are not given are those of the run, or of the recipe's preset."""

    name: DataName | None = None
    """Data set."""

    root: Path | None = None
    """Folder of the data."""

    shards: str | None = None
    """Folder of shards to read instead of the clips."""

    split: Literal["test", "val"] | None = None
    """Split to test on; only AVSBench has val."""

    test_list: Path | None = None
    """csv with the ids of the test clips."""

    scenes: tuple[int, int] | None = None
    """Numbers of training and test scenes."""

    workers: int | Literal["auto"] | None = None
    """Data loader processes."""

    on_error: Literal["raise", "skip"] | None = None
    """Stop at a file that cannot be used, or skip it and list it in skipped.csv."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    checkpoint: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    """A run folder, a checkpoint in one, a folder of recipes.export, or a published file."""

    recipe: str | None = None
    """Recipe of a published file, such as paper_segment."""

    data: TestData = field(default_factory=TestData)
    """The test clips."""

    batch: int | None = None
    """Clips per batch, on which some scores of the field depend."""

    windows: int | None = None
    """Evenly spaced windows per clip, for a classifier."""

    controls: bool = False
    """Test also with an untrained encoder, and with the labels of other clips."""

    out: Path | None = None
    """Folder of the results; runs/evaluate-NAME by default."""


def main(config: Config) -> None:
    """Run the test, and those of the controls."""
    if config.checkpoint is None:
        raise ValueError("give a RUN, a folder of recipes.export, or a published file")
    out = config.out or Path("runs") / f"evaluate-{name_of(config.checkpoint)}"
    check_out(out)
    subject = _subject(config)
    _check_same(out, subject)
    given = {name: value for name, value in vars(config.data).items() if value is not None}
    sizes = {"batch": config.batch, "windows": config.windows}
    tested = load_tested(
        config.checkpoint,
        recipe=config.recipe,
        data=given,
        sizes={name: value for name, value in sizes.items() if value is not None},
    )
    write_json(out / SUBJECT, subject)
    run_test(tested, out)
    if config.controls:
        _controls(tested, out)


def name_of(checkpoint: Path) -> str:
    """Return a name for the results of a run, a checkpoint in one, an export, or a file.

    >>> name_of(Path("runs/probe.v2")), name_of(Path("probe/checkpoints/step-00000004.ckpt"))
    ('probe.v2', 'probe-step-00000004')
    """
    path = checkpoint.resolve()
    if path.suffix == ".ckpt":
        return f"{path.parent.parent.name}-{path.stem}"
    return path.name if path.is_dir() or not path.exists() else path.stem


def _subject(config: Config) -> dict[str, str]:
    """Return what an evaluation tests: the model, and the settings given for it and its clips."""
    assert config.checkpoint is not None
    named = {"recipe": config.recipe, "windows": config.windows}
    named |= {f"data.{name}": value for name, value in vars(config.data).items()}
    given = {name: str(value) for name, value in named.items() if value is not None}
    given.pop("data.workers", None)
    return {"checkpoint": str(config.checkpoint.resolve()), **given}


def _check_same(out: Path, subject: dict[str, str]) -> None:
    """Raise a ValueError if a folder holds the results of another evaluation."""
    if not (out / SUBJECT).exists():
        return
    other = read_json(out / SUBJECT, {"*": str}, remedy="remove the folder, or give another --out")
    if other != subject:
        about = ", ".join(f"{name} {value}" for name, value in other.items())
        raise ValueError(f"{out} holds another evaluation ({about}): give another folder as --out")


def _controls(tested: Tested, out: Path) -> None:
    for name, control in CONTROLS.items():
        if (changed := control(tested)) is not None:
            print(f"\n{name.replace('_', ' ')}:")
            run_test(changed, out / name)
        else:
            print(f"\n{name.replace('_', ' ')}: none of {tested.recipe}", file=sys.stderr)


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)
