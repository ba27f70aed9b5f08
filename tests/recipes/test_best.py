"""Kept checkpoints, the best one, early stopping and averaged weights, all resumed exactly."""

from pathlib import Path
from typing import Any

import engine_toy
import pytest
import torch
from engine_toy import losses, train
from torch import nn

from avblocks.checkpoint import saves as _saves
from recipes.engine.best import best_step, exhausted
from recipes.engine.log import read_rows
from recipes.engine.run import Run

STOPS = (1, 3, 5, 6, 10)
STEPS = 15


def saved(folder: Path) -> list[int]:
    return sorted(_saves.step_of(path) for path in folder.glob("*.ckpt"))


def weights(folder: Path, step: int, part: str = "state_dict") -> dict[str, torch.Tensor]:
    state = _saves.load(folder / f"step-{step:08d}.ckpt")
    return {name.removeprefix("model."): value for name, value in state[part].items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def evaluations(folder: Path) -> dict[int, float]:
    rows = read_rows(folder / "metrics.csv")
    return {int(row["step"]): row["eval/mean"] for row in rows if "eval/mean" in row}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Scores after each epoch, which a test fills in."""
    found: list[float] = []

    def evaluate(model: nn.Module, epoch: int) -> dict[str, float]:
        return {"mean": found[epoch], "epoch": float(epoch)}

    monkeypatch.setattr(engine_toy, "evaluate", evaluate)
    return found


@pytest.mark.parametrize("keep", [1, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    train(tmp_path, save_every=2, keep=keep, evaluates=False)
    assert saved(tmp_path / "checkpoints") == [12, 14, 15][-keep:]


@pytest.mark.parametrize("stop", [None, 3, 10, 12])
@pytest.mark.parametrize(("metric", "best"), [("mean", 10), ("min:mean", 5)])
def test_the_best_is_kept(
    tmp_path: Path, scored: list[float], metric: str, best: int, stop: int | None
) -> None:
    """The first evaluation is of the start, which does not count; nor does that of a stop."""
    scored += [0.0, 1.0, 3.0, 2.0]
    scored[0] = 9.0 if metric == "mean" else -9.0
    options: dict[str, Any] = {"keep_best": metric}
    if stop is not None:
        train(tmp_path / "run", max_steps=stop, **options)
    train(tmp_path / "run", resume=stop is not None, **options)
    assert saved(tmp_path / "run" / "best") == [best]
    train(tmp_path / "plain", max_steps=best)
    wanted = weights(tmp_path / "plain" / "checkpoints", best)
    assert same(weights(tmp_path / "run" / "best", best), wanted)


@pytest.mark.parametrize("stop", [None, 3, 5, 7])
def test_it_stops_early(
    tmp_path: Path, scored: list[float], stop: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    scored += [9.0, 2.0, 1.0, 3.0]
    options: dict[str, Any] = {"keep_best": "mean", "patience": 1}
    if stop is not None:
        assert not train(tmp_path / "run", max_steps=stop, **options)[0].finished
    fitted, model = train(tmp_path / "run", resume=stop is not None, **options)
    assert (fitted.step, fitted.finished) == (10, True)
    assert "stopped early: mean was best after step 5" in capsys.readouterr().out
    assert saved(tmp_path / "run" / "checkpoints")[-1] == 10
    assert saved(tmp_path / "run" / "best") == [5]
    _, plain = train(tmp_path / "plain", max_steps=10)
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")
    assert same(dict(model.state_dict()), dict(plain.state_dict()))
    again, _ = train(tmp_path / "run", resume=True, **options)
    assert (again.step, again.finished) == (10, True)
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")


def test_the_average_is_that_of_the_weights_of_all_steps(tmp_path: Path) -> None:
    """Of the weights of a run without one, by the formula; losses are the same."""
    train(tmp_path / "plain", save_every=1, keep=99, evaluates=False)
    _, model = train(tmp_path / "run", ema=0.8, evaluates=False)
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")
    names = [name for name, _ in model.named_parameters()]
    engine_toy.seed_all(0, "weights")
    wanted = {n: p.detach().double() for n, p in engine_toy.Toy().named_parameters()}
    for step in range(1, STEPS + 1):
        keep = min(0.8, (1 + step) / (10 + step))
        now = weights(tmp_path / "plain" / "checkpoints", step)
        wanted = {n: keep * wanted[n] + (1 - keep) * now[n].double() for n in names}
    found = weights(tmp_path / "run" / "checkpoints", STEPS)
    for name in names:
        torch.testing.assert_close(found[name].double(), wanted[name], rtol=1e-5, atol=1e-6)
        assert torch.equal(model.state_dict()[name], found[name])
        assert not torch.equal(found[name], now[name])
        trained = weights(tmp_path / "run" / "checkpoints", STEPS, "trained")
        assert torch.equal(trained[name], now[name])
    buffers = found.keys() - set(names)
    assert buffers and all(torch.equal(found[name], now[name]) for name in buffers)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, train(folder, ema=0.8)[1]


@pytest.mark.parametrize("stop", STOPS)
def test_a_resumed_average_is_exact(
    tmp_path: Path, unbroken: tuple[Path, nn.Module], stop: int
) -> None:
    folder, model = unbroken
    train(tmp_path, ema=0.8, max_steps=stop)
    _, resumed = train(tmp_path, ema=0.8, resume=True)
    assert losses(tmp_path) == losses(folder)
    assert same(dict(resumed.state_dict()), dict(model.state_dict()))
    first, second = (weights(path / "checkpoints", STEPS, "trained") for path in (folder, tmp_path))
    assert same(first, second)
    own = {step: score for step, score in evaluations(tmp_path).items() if step % 5 == 0}
    assert own == evaluations(folder)


def test_a_finished_run_is_tested_with_its_average(
    tmp_path: Path, unbroken: tuple[Path, nn.Module]
) -> None:
    train(tmp_path, ema=0.8)
    fitted, model = train(tmp_path, ema=0.8, resume=True)
    assert fitted.finished and same(dict(model.state_dict()), dict(unbroken[1].state_dict()))


def test_a_resumed_run_keeps_the_decay(tmp_path: Path) -> None:
    train(tmp_path, max_steps=1)
    with pytest.raises(ValueError, match=r"run\.ema was None, now 0\.8"):
        train(tmp_path, resume=True, ema=0.8)


def test_wrong_settings(tmp_path: Path) -> None:
    for options, message in (
        ({"keep": 0}, r"--run\.keep must be at least 1, got 0"),
        ({"patience": 1}, r"--run\.patience needs --run\.keep-best"),
        ({"ema": 1.0}, r"--run\.ema must be between 0 and 1, got 1\.0"),
    ):
        with pytest.raises(ValueError, match=message):
            Run(**options)
    with pytest.raises(ValueError, match="no test clips"):
        train(tmp_path / "a", keep_best="mean", evaluates=False)
    with pytest.raises(ValueError, match=r"keep-best top9: an evaluation has mean, epoch, and no"):
        train(tmp_path / "b", keep_best="top9")
    assert list(evaluations(tmp_path / "b")) == [0]  # before the training, not an epoch later


def test_values_that_are_no_numbers_are_never_the_best() -> None:
    scores = {5: {"a": float("nan")}, 10: {"a": 1.0}, 15: {"a": float("inf")}}
    assert best_step(scores, "a") == 10 and best_step({5: scores[5]}, "a") is None
    assert exhausted(scores, "a", patience=1) and not exhausted(scores, "a", patience=2)
