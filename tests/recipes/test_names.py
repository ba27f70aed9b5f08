"""Names of files and classes that no one expects: bytes that are not UTF-8, ``$`` and ``_``."""

import io
import os
import sys
from pathlib import Path

import pytest
import torch
from engine_toy import train

from avblocks.data.datasets import ClipSet, Item, folder, hold_out
from avblocks.seed import sample_seed
from avblocks.tasks import Predictions
from avblocks.viz import panel, save_figure
from recipes.common.class_figures import class_bars, confusion_figure
from recipes.common.errors import users_errors
from recipes.predict.figures import draw_classes

ODD = os.fsdecode(b"x\xff")
CLASSES = ("$a_$", "_b", ODD, "$x", r"\$y^$")


@pytest.fixture
def odd(tmp_path: Path) -> ClipSet:
    for name in CLASSES:
        (tmp_path / "k" / name).mkdir(parents=True)
        for n in range(3):
            (tmp_path / "k" / name / os.fsdecode(b"%d\xe9.mp4" % n)).touch()
    return folder(tmp_path / "k", classes=True)


def test_clips_are_listed_shared_out_and_reported(
    odd: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = hold_out(odd)
    assert sorted(item.id for part in parts for item in part.items) == [i.id for i in odd.items]
    assert set(odd.classes) == set(CLASSES) and sample_seed(0, 0, 1) != sample_seed(0, 0, 2)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", out)
    with users_errors():
        print(Item(odd.items[-1].id, "x").id, ODD, flush=True)
    assert rb"x\udcff" in out.buffer.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_figures_show_the_names_of_classes_as_they_are(tmp_path: Path) -> None:
    scores = torch.eye(len(CLASSES))
    found = Predictions(scores={"all": scores}, target=scores, paths=CLASSES)
    confusion_figure(tmp_path / "odd-confusion.png", found, classes=CLASSES)
    class_bars(tmp_path / "odd-bars.png", scores[0], classes=CLASSES, label="%")
    edges = [float(n) for n in range(len(CLASSES) + 1)]
    draw_classes(tmp_path / "odd-classes.png", scores, classes=CLASSES, edges=edges)
    save_figure(panel({CLASSES[0]: torch.rand(1, 3, 4, 4)}), tmp_path / "odd-panel.png")
    assert all((tmp_path / f"odd-{n}.png").stat().st_size > 1000 for n in ("bars", "classes"))


def test_a_run_folder_must_be_utf_8(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not a name in UTF-8, pass another --run.dir"):
        train(tmp_path / ODD)
    assert not (tmp_path / ODD).exists()
