"""What the run folder says of the data, and which changes of it a resumed run accepts."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_toy import train
from joint import joint

from avblocks import av_vit
from avblocks.checkpoint import saves as _saves
from avblocks.data import SkippedFiles
from avblocks.data.datasets import ClipSet, Item
from avblocks.jsonfile import read_json
from recipes.common.run_files import read_run_config, run_config
from recipes.engine.folder import check_fits
from recipes.engine.resuming import check_same


def clips(*ids: str, missing: tuple[str, ...] = ()) -> ClipSet:
    items = tuple(Item(id=name, path=f"{name}.mp4") for name in ids)
    return ClipSet(name="toy", items=items, missing=missing)


def test_the_counts_are_kept(tmp_path: Path) -> None:
    data = {"train": clips("a", "b", missing=("c",)), "test": None}
    train(tmp_path, max_steps=1, clips=data)
    facts = json.loads((tmp_path / "config.json").read_text())["clips"]
    assert facts.keys() == {"train"}
    counts = {"listed": 3, "on_disk": 2, "missing": 1}
    assert facts["train"].items() >= counts.items()


@pytest.mark.parametrize("other", [("a",), ("a", "b", "d"), ("b", "a"), ("a", "d")])
def test_other_clips_to_train_on_are_refused(tmp_path: Path, other: tuple[str, ...]) -> None:
    train(tmp_path, max_steps=1, clips={"train": clips("a", "b")})
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match=rf"2 were on disk .* {len(other)} are now; resume on the"):
        train(tmp_path, max_steps=2, resume=True, clips={"train": clips(*other)})
    assert (tmp_path / "config.json").read_text() == before
    # What is missing does not matter as long as the same clips are there.
    train(tmp_path, max_steps=2, resume=True, clips={"train": clips("a", "b", missing=("c",))})


def test_other_clips_to_test_on_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"train": clips("a"), "test": clips("x", "y")}
    train(tmp_path, max_steps=1, clips=data)
    train(tmp_path, max_steps=2, resume=True, clips=data | {"test": clips("x")})
    said = capsys.readouterr().out
    assert "the clips to test on are others: 2 were on disk" in said
    facts = json.loads((tmp_path / "config.json").read_text())["clips"]
    assert facts["test"]["on_disk"] == 1


def test_runs_of_before_there_were_counts_go_on(tmp_path: Path) -> None:
    train(tmp_path, max_steps=1)
    facts = read_json(tmp_path / "config.json", remedy="")
    del facts["clips"]
    (tmp_path / "config.json").write_text(json.dumps(facts))
    fitted, _ = train(tmp_path, max_steps=2, resume=True, clips={"train": clips("a")})
    assert fitted.step == 2


@pytest.mark.parametrize("other", [True, None, "x", -1])
def test_no_value_of_the_configuration_changes_unnoticed(tmp_path: Path, other: object) -> None:
    train(tmp_path, max_steps=1)
    file = tmp_path / "config.json"
    whole = json.loads(file.read_text())
    for changed in _changed(whole, other):
        file.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=r"config.json: damaged, or changed by hand .*; give"):
            read_json(file, remedy="give another")
    file.write_text(json.dumps(whole, sort_keys=True))
    assert read_json(file, remedy="").keys() < whole.keys()


def _changed(content: Any, other: object) -> Iterator[Any]:
    """The content with one value replaced, for each of its values."""
    for key, value in content.items():
        if value != other:
            yield content | {key: other}
        if isinstance(value, dict):
            yield from (content | {key: changed} for changed in _changed(value, other))


WRONG = [
    "{}",
    "[]",
    "7",
    "[" * 200_000,
    '{"config": 3}',
    '{"config": {}, "clips": {"train": {}}}',
    "\udcff",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    train(tmp_path, max_steps=1)
    (tmp_path / "config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"config.json.*: .*; without it the run cannot be"):
        train(tmp_path, max_steps=2, resume=True, clips={"train": clips("a")})
    path = _saves.latest(tmp_path / "checkpoints")
    assert path is not None
    with pytest.raises(ValueError, match=r"config.json.*: .*; give another --checkpoint"):
        run_config(path)
    with pytest.raises(ValueError, match=r"config.json.*"):
        read_run_config(path, remedy="give another")


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + "2,0.2,1,1,1,1,1,1,1,1,1,1\n",
        lambda text: text + "x" * 200_000 + "\n",
        lambda text: text.replace("step", "stop"),
        lambda text: text.replace("\n1,", "\none,"),
        lambda text: text.replace("\n1,", "\n,"),
    ],
)
def test_damaged_metrics_are_named(tmp_path: Path, edit: Callable[[str], str]) -> None:
    train(tmp_path, max_steps=1)
    path = tmp_path / "metrics.csv"
    path.write_text(edit(path.read_text()))
    with pytest.raises(ValueError, match=r"metrics.csv.*: mend or delete the file"):
        train(tmp_path, max_steps=2, resume=True)


def test_a_list_of_skipped_files_of_other_columns_is_named(tmp_path: Path) -> None:
    (tmp_path / "skipped.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"skipped.csv: no column 'path': mend or delete the file"):
        SkippedFiles(tmp_path, total=1, max_skipped=1.0).summary()


def test_a_checkpoint_of_an_earlier_version_is_refused_in_words() -> None:
    """Its weights would load, but its optimizer has a state for each of the joined layers."""
    model = av_vit(8, depth=1, num_heads=2, image_size=8, audio_size=(8, 8), patch=4)
    check_fits(model, model.state_dict())
    with pytest.raises(ValueError, match=r"of an earlier version, .* start a new run"):
        check_fits(model, joint(model.state_dict()))


@pytest.mark.parametrize("name", ["config.json", "README.txt", "metrics.csv"])
def test_files_of_something_else_are_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(ValueError, match=rf"has a {name} of something else, .* another --run.dir"):
        train(tmp_path, max_steps=1)
    assert (tmp_path / name).read_text() == '{"mine": 1}'
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    train(tmp_path, max_steps=1)
    shutil.rmtree(tmp_path / "checkpoints")
    assert train(tmp_path, max_steps=1)[0].step == 1


def test_a_run_of_another_recipe_is_refused_by_its_name(tmp_path: Path) -> None:
    train(tmp_path, max_steps=1)
    file = tmp_path / "config.json"
    facts = read_json(file, remedy="") | {"recipe": "paper_pretrain"}
    file.write_text(json.dumps(facts))
    now = {**facts, "recipe": "paper_finetune", "config": {"epochs": 3}}
    with pytest.raises(ValueError, match=r"is of paper_pretrain, not of paper_finetune: pass ano"):
        check_same(file, now, (), print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"classes": ["cat", "zebra"]},
            "class number 0 was 'ant', now 'cat'; resume with the same",
        ),
        ({"classes": ["ant", "cat", "dog"]}, "the run had other classes, now 3: resume with the s"),
        ({"labels": (1,)}, "clips to train on have other labels than when the run was started"),
    ],
)
def test_other_classes_and_labels_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    def facts(classes: list[str], labels: tuple[int, ...]) -> dict[str, Any]:
        items = (Item(id="a", path="a.mp4", labels=labels),)
        found = ClipSet(name="toy", items=items, classes=tuple(classes)).facts()
        return {"config": {}, "classes": classes, "clips": {"train": found}}

    given: dict[str, Any] = {"classes": ["ant", "cat"], "labels": (0,)}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(facts(**given)))
    check_same(file, facts(**given), (), print)
    with pytest.raises(ValueError, match=message):
        check_same(file, facts(**given | change), (), print)
