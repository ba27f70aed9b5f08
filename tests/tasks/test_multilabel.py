"""Rows of sets of classes, counted by hand on three clips."""

import pytest
import torch

from avblocks.data.datasets import ClipSet, Item
from avblocks.tasks import Predictions, multilabel_rows, tagged_rows

TARGET = torch.tensor([[1.0, 1, 0], [0, 0, 1], [0, 1, 0]])
ONE = {0: [3.0, 2, 1], 1: [2.0, 3, 1], 2: [1.0, 2, 3]}


def predictions(*best: int) -> Predictions:
    """Logits whose first class is given, then the others in order."""
    scores = torch.tensor([ONE[one] for one in best])
    return Predictions(paths=("a", "b", "c"), target=TARGET, scores={"all": scores})


def test_rows_and_confusion() -> None:
    rows = multilabel_rows(
        {
            "both": predictions(0, 0, 0),
            "image": predictions(0, 2, 0),
            "audio": predictions(2, 2, 1),
        },
        at=(1, 2),
    )
    third = 100 / 3
    assert list(rows) == ["given both", "given image", "given audio", "confusion"]
    assert rows["given both"]["hit_rate@1"] == pytest.approx(third)
    assert rows["given audio"]["precision@1"] == pytest.approx(2 * third)
    assert rows["given image"]["recall@2"] == pytest.approx(100)  # (0, 1), (2, 1), (0, 1)
    wanted = {"image": third, "audio": 2 * third, "either_alone": third}
    assert rows["confusion"] == pytest.approx(wanted)


def test_one_choice_has_no_confusion() -> None:
    assert list(multilabel_rows({"image": predictions(0, 1, 2)})) == ["given image"]


@pytest.mark.usefixtures("unchecked")
def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="predictions must be of at least one evaluation"):
        multilabel_rows({})


def test_labels_of_each_modality() -> None:
    """The first clip is heard as class 0 and seen as class 1; the last has no label to see."""
    found = {
        "both": predictions(0, 2, 1),
        "image": predictions(1, 2, 0),
        "audio": predictions(0, 0, 1),
    }
    labels = {"all": {"a": (0, 1), "b": (2,), "c": (1,)}, "visible": {"a": (1,), "b": (2,)}}
    sets = {
        name: ClipSet(name, tuple(Item(k, k, x) for k, x in some.items()), classes=("x", "y", "z"))
        for name, some in labels.items()
    }
    rows = tagged_rows(
        found, {**sets, "only_audible": ClipSet("none", (), classes=("x", "y", "z"))}
    )
    titles = [f"{name} labels, given {given}" for name in labels for given in found]
    assert sorted(rows) == sorted([*titles, "modality confusion"])
    assert rows["modality confusion"] == multilabel_rows(found)["confusion"]
    assert rows["all labels, given both"] == multilabel_rows(found)["given both"]
    assert rows["visible labels, given both"]["hit_rate@1"] == pytest.approx(50)
    assert rows["visible labels, given image"]["hit_rate@1"] == pytest.approx(100)
    assert rows["visible labels, given audio"]["hit_rate@1"] == pytest.approx(0)


@pytest.mark.usefixtures("unchecked")
def test_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="classes must be the 3 predicted, got 2"):
        tagged_rows({"image": predictions(0, 1, 2)}, {"all": ClipSet("x", (), classes=("x", "y"))})
