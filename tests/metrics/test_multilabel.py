"""Sets of classes against scikit-learn's formulas as loops, and against VGGSounder's package."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avblocks.metrics import modality_confusion, multilabel_scores, predicted_set_scores

SEEDS = st.integers(0, 2**20)
RECORDED = {
    "f1@1": 0.2857143,
    "f1_macro@1": 0.25,
    "accuracy@1": 0.0,
    "jaccard@1": 0.1666667,
    "precision@1": 0.3333333,
    "recall@1": 0.25,
    "hit_rate@1": 0.3333333,
    "f1@3": 0.6153846,
    "f1_macro@3": 0.575,
    "accuracy@3": 0.0,
    "jaccard@3": 0.4444444,
    "precision@3": 0.4444444,
    "recall@3": 1.0,
    "hit_rate@3": 1.0,
    "map": 0.7222222,
}


def sets(seed: int, b: int, classes: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(2, (b, classes), generator=random) == 1


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


@given(SEEDS, st.integers(1, 5), st.integers(1, 4))
def test_scores_equal_a_loop_over_pairs(seed: int, b: int, classes: int) -> None:
    predicted, truth = sets(seed, b, classes), sets(seed + 1, b, classes)
    pairs = [(i, c) for i in range(b) for c in range(classes)]
    guessed = {(i, c) for i, c in pairs if predicted[i, c]}
    true = {(i, c) for i, c in pairs if truth[i, c]}
    right = guessed & true
    each = []
    for c in range(classes):
        found = [len({i for i, k in of if k == c}) for of in (right, guessed, true)]
        each.append(ratio(2 * found[0], found[1] + found[2]))
    wanted = {
        "hit_rate": len({i for i, _ in right}) / b,
        "accuracy": sum(torch.equal(p, t) for p, t in zip(predicted, truth, strict=True)) / b,
        "precision": ratio(len(right), len(guessed)),
        "recall": ratio(len(right), len(true)),
        "f1": ratio(2 * len(right), len(guessed) + len(true)),
        "f1_macro": sum(each) / classes,
        "jaccard": ratio(len(right), len(guessed | true)),
    }
    assert predicted_set_scores(predicted, truth.float()) == pytest.approx(wanted)


@given(SEEDS, st.integers(1, 5))
def test_confusion_equals_a_loop_over_samples(seed: int, b: int) -> None:
    both, image, audio, truth = (sets(seed + n, b, 3) for n in range(4))
    hit = [[bool((x[i] & truth[i]).any()) for x in (both, image, audio)] for i in range(b)]
    wanted = {
        "image": sum(i and not f for f, i, _ in hit) / b,
        "audio": sum(a and not f for f, _, a in hit) / b,
        "either_alone": sum(i and a and not f for f, i, a in hit) / b,
    }
    found = modality_confusion(truth.float(), both=both, image=image, audio=audio)
    assert found == pytest.approx(wanted)


def test_the_package_of_vggsounder_agrees() -> None:
    """`compare_labels_logits` and `compute_modality_confusion_logits`, without ties."""
    benchmark = pytest.importorskip("vggsounder.benchmark")
    pandas = pytest.importorskip("pandas")
    random = torch.Generator().manual_seed(0)
    truth, classes = sets(7, 40, 12), [f"class {n}" for n in range(12)]
    logits = {name: torch.randn(40, 12, generator=random) for name in ("av", "a", "v")}
    labels = [[classes[c] for c in row.nonzero()[:, 0].tolist()] for row in truth]
    gt = pandas.DataFrame({"id": range(40), "labels": labels})
    table = {
        name: pandas.DataFrame({"id": range(40), "logits": x.tolist()})
        for name, x in logits.items()
    }
    wanted = benchmark.compare_labels_logits(gt, table["av"], classes)
    found = multilabel_scores(logits["av"], truth.float())
    for key in found.keys() - {"map"}:
        assert found[key] == pytest.approx(wanted[key]), key
    assert found["map"] == pytest.approx(wanted["auc_pr"])
    best = {
        name: torch.zeros(40, 12).scatter(1, x.argmax(1, True), 1) == 1
        for name, x in logits.items()
    }
    theirs = benchmark.compute_modality_confusion_logits(gt, *table.values(), classes)
    ours = modality_confusion(truth.float(), both=best["av"], audio=best["a"], image=best["v"])
    assert ours == pytest.approx(
        {"image": theirs["v"], "audio": theirs["a"], "either_alone": theirs["av"]}
    )


def test_the_numbers_are_those_of_the_package() -> None:
    """`compare_labels_logits` of vggsounder 1.0 returned RECORDED for these samples."""
    truth = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]])
    scores = torch.tensor([[0.9, 0.2, 0.8, 0.1], [0.3, 0.6, 0.5, 0.4], [0.1, 0.2, 0.3, 0.4]])
    found = multilabel_scores(scores, truth, at=(1, 3, 10))
    assert not any(key.endswith("@10") for key in found)
    assert found == pytest.approx(RECORDED, abs=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match="target must be of at least one sample, got 0"):
        predicted_set_scores(torch.zeros(0, 2) == 1, torch.zeros(0, 2))
    with pytest.raises(ValueError, match="target must be zeros and ones"):
        predicted_set_scores(torch.zeros(1, 2) == 1, torch.full((1, 2), 0.5))
    with pytest.raises(ValueError, match="k must be an integer from 1 to the 2 classes, got 0"):
        multilabel_scores(torch.zeros(1, 2), torch.ones(1, 2), at=(0,))


@pytest.mark.usefixtures("unchecked")
def test_sets_are_of_booleans() -> None:
    with pytest.raises(ValueError, match="predicted must be booleans"):
        predicted_set_scores(torch.eye(2).byte() * 255, torch.eye(2))
