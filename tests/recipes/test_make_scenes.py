"""From ingredients to scenes to runs, as a user does it."""

import json
from pathlib import Path
from typing import Any

import pytest
from ingredient_files import COLORS, disk, write_backgrounds, write_ingredient
from tiny_model import TINY

from recipes import (
    make_scenes,
    paper_linear_probe,
    paper_localize,
    paper_pretrain,
    paper_segment,
    paper_separate,
)
from recipes.common.cli import run_cli
from recipes.common.data import Data, train_test_sets
from recipes.common.mixtures import mixtures

SIZES = ("--data.seconds", 0.5, "--data.size", 16, "--data.mels", 32, "--data.workers", 0)


def command(module: Any, *words: object) -> None:
    run_cli(
        module.main,
        presets=module.PRESETS,
        doc=module.__doc__,
        args=[str(word) for word in words],
    )


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ingredients")
    for kind in COLORS:
        write_ingredient(root / "things", f"{kind}/a")
    opaque = disk(COLORS["owl"])
    opaque[..., 3] = 255
    write_ingredient(root / "things", "owl/opaque", image=opaque)
    write_backgrounds(root / "places")
    return root


def options(things: Path, out: Path) -> list[object]:
    return [
        *("--ingredients", things / "things", "--backgrounds", things / "places", "--out", out),
        *("--train", 8, "--test", 6, "--scene.size", 32, "--scene.seconds", 1.0),
    ]


@pytest.fixture(scope="module")
def composed(things: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composed") / "out"
    command(make_scenes, *options(things, out), "--scene.silent", 0.0)
    return out


def test_it_says_what_it_made_and_refused(
    things: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(make_scenes, *options(things, tmp_path / "out"))
    said = capsys.readouterr().out
    assert "refused owl/opaque: opaque.png: no transparent surroundings" in said
    assert "3 classes; 3 ingredients for training and 3 for testing; 3 and 1 backgrounds" in said
    assert "scenes train: 8 clips listed, 8 on disk" in said
    rows = (tmp_path / "out" / "refused.csv").read_text().splitlines()
    assert len(rows) == 2 and rows[1].startswith("owl/opaque,")
    notes = json.loads((tmp_path / "out" / "annotations" / "train000003.json").read_text())
    assert len(notes["class"]) == 2


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        command(make_scenes, "--ingredients", tmp_path)
    assert "give --ingredients DIR, --backgrounds DIR and --out DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("composed", "classes"),
        ("composed", "sources"),
        ("composed_boxes", "boxes"),
        ("composed_masks", "masks"),
    ],
)
def test_recipes_read_it(composed: Path, name: Any, needs: Any) -> None:
    train, test = train_test_sets(Data(name=name, root=composed), needs=needs)
    assert train.classes[-3:] == test.classes[-3:] == ("cat", "dog", "owl")
    assert len({item.id[:11] for item in train.items}) == 8
    assert len({item.id[:11] for item in test.items}) == 6


def test_no_image_of_a_mixture_shows_a_source_of_the_other(things: Path, tmp_path: Path) -> None:
    """Silent things of an image would be guides to the other audio."""
    command(make_scenes, *options(things, tmp_path / "out"), "--scene.silent", 0.5)
    data = Data(name="composed", root=tmp_path / "out")
    train, test = train_test_sets(data, needs="sources")
    _, fixed = mixtures(data, train, test, sources=2, seed=0)
    notes = [
        json.loads((tmp_path / "out" / "annotations" / f"{item.id[:11]}.json").read_text())
        for item in test.items
    ]
    assert any(note["silent"] for note in notes) and len(fixed)
    for index in range(len(fixed)):
        pair = fixed(0, index)
        for one, other in (pair, pair[::-1]):
            visible = {*notes[one]["class"], *notes[one]["silent"]}
            assert not visible & {*notes[other]["class"], *notes[other]["offscreen"]}


@pytest.mark.parametrize(
    ("module", "name", "more"),
    [
        (paper_pretrain, "composed", ()),
        (paper_linear_probe, "composed", ("--checkpoint", None)),
        (paper_localize, "composed_boxes", ("--checkpoint", None, "--local", 0)),
        (paper_segment, "composed_masks", ("--checkpoint", None, "--width", 8)),
        (paper_separate, "composed", ("--checkpoint", None)),
    ],
)
def test_recipes_train_on_it(
    composed: Path, tmp_path: Path, module: Any, name: str, more: tuple[object, ...]
) -> None:
    sizes = {n: getattr(TINY, n) for n in ("dim", "depth", "heads", "patch")}
    model = [word for n, value in sizes.items() for word in (f"--model.{n}", value)]
    command(
        module,
        *("scenes", "--data.name", name, "--data.root", composed, "--batch", 4, *SIZES),
        *("--run.dir", tmp_path / "run", "--run.max-steps", 2, *model, *more),
    )
    assert list((tmp_path / "run" / "checkpoints").glob("*2.ckpt"))
