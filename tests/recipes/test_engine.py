"""Training, stopped and resumed in every way, is the unbroken training."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import engine_toy
import pytest
import torch
from engine_toy import (
    BATCH,
    LENGTH,
    AllBad,
    Points,
    Steep,
    losses,
    raise_signal_at,
    schedule,
    train,
)

from avblocks.checkpoint import saves as _saves
from recipes.common.errors import user_line
from recipes.engine import loop as _engine_loop
from recipes.engine.curve import epoch_means, loss_curve
from recipes.engine.log import read_rows
from recipes.engine.plan import Plan


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_workers_end_with_the_training(tmp_path: Path) -> None:
    """Left to the garbage collector, each would take 5 s to end, at some later time."""
    train(tmp_path, workers=2)
    assert not multiprocessing.active_children()


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, torch.nn.Module]]:
    runs = {}
    for accumulate in (1, 2):
        folder = tmp_path_factory.mktemp("unbroken")
        runs[accumulate] = folder, train(folder, accumulate=accumulate)[1]
    return runs


@pytest.mark.parametrize(
    ("stop", "workers", "accumulate"),
    [(1, 2, 1), (3, 0, 2), (3, 2, 1), (5, 0, 1), (5, 2, 2), (6, 0, 1)],
)
def test_resume_is_exact(
    tmp_path: Path, unbroken: dict[int, Any], stop: int, workers: int, accumulate: int
) -> None:
    folder, model = unbroken[accumulate]
    settings = {"accumulate": accumulate, "workers": workers}
    fitted, _ = train(tmp_path, max_steps=stop, **settings)
    assert (fitted.step, fitted.finished) == (stop, False)
    fitted, resumed = train(tmp_path, resume=True, **settings)
    assert fitted.finished
    assert losses(tmp_path) == losses(folder)
    assert same(resumed, model)
    scores = {k: v for k, v in fitted.scores.items() if k != stop}
    wanted = {r["step"] for r in read_rows(folder / "metrics.csv") if "eval/mean" in r} - {stop}
    assert scores.keys() == wanted


@pytest.fixture(params=["at once", "late"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """When the engine looks at what a step measured; late, as on a GPU."""
    monkeypatch.setattr(_engine_loop, "LATE", {"cpu"} if request.param == "late" else set())
    return request.param


@pytest.mark.parametrize(
    ("number", "code", "reading"),
    [
        (signal.SIGTERM, 143, "at once"),
        (signal.SIGTERM, 143, "late"),
        (signal.SIGINT, 130, "at once"),
        (signal.SIGUSR1, 138, "late"),
        (signal.SIGHUP, 129, "at once"),
    ],
    indirect=["reading"],
)
def test_signal_saves_and_leaves(
    tmp_path: Path, unbroken: dict[int, Any], number: signal.Signals, code: int, reading: str
) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:  # under nohup, which the engine respects
        signal.signal(number, signal.SIG_DFL)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as left:
        train(tmp_path, accumulate=2, log=raise_signal_at(7, number))
    assert left.value.code == code
    assert signal.getsignal(number) == before
    assert len(losses(tmp_path)) == (4 if reading == "at once" else 5)
    _, model = train(tmp_path, accumulate=2, resume=True)
    folder, wanted = unbroken[2]
    assert losses(tmp_path) == losses(folder)
    assert same(model, wanted)


def test_a_signal_during_an_evaluation_saves_and_leaves(
    tmp_path: Path, unbroken: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = engine_toy.evaluate

    def interrupted(model: torch.nn.Module, epoch: int) -> dict[str, float]:
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(model, epoch)

    monkeypatch.setattr(engine_toy, "evaluate", interrupted)
    with pytest.raises(SystemExit) as left:
        train(tmp_path)
    assert left.value.code == 143
    assert len(losses(tmp_path)) == 5
    monkeypatch.setattr(engine_toy, "evaluate", plain)
    _, model = train(tmp_path, resume=True)
    assert losses(tmp_path) == losses(unbroken[1][0])
    assert same(model, unbroken[1][1])


def test_crash_goes_back_to_the_last_save(
    tmp_path: Path, unbroken: dict[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(batch: Any) -> None:
        seen.append(batch)
        if len(seen) == 9:
            raise TypeError("a bug")

    seen: list[Any] = []
    with pytest.raises(TypeError, match="a bug"):
        train(tmp_path, save_every=3, log=crash)
    assert len(losses(tmp_path)) == 8
    newest = tmp_path / "checkpoints" / "step-00000006.ckpt"
    assert _saves.latest(newest.parent) == newest
    newest.write_bytes(newest.read_bytes()[:-1])
    _, model = train(tmp_path, save_every=3, resume=True)
    said = capsys.readouterr().out
    assert f"{newest} passed over" in said
    assert "resuming from" in said
    assert "step-00000003.ckpt" in said
    assert losses(tmp_path) == losses(unbroken[1][0])
    assert same(model, unbroken[1][1])


def test_evaluation_changes_nothing(tmp_path: Path, unbroken: dict[int, Any]) -> None:
    _, model = train(tmp_path, evaluates=False)
    assert losses(tmp_path) == losses(unbroken[1][0])
    assert same(model, unbroken[1][1])
    assert model.training


def test_run_folder(unbroken: dict[int, Any]) -> None:
    folder, _ = unbroken[1]
    rows = read_rows(folder / "metrics.csv")
    assert [r["step"] for r in rows if "eval/epoch" in r] == [0, 5, 10, 15]
    assert [r["eval/epoch"] for r in rows if "eval/epoch" in r] == [0, 1, 2, 3]
    assert losses(folder).keys() == set(range(1, 16))
    for step, (_, _, lr, _) in losses(folder).items():
        assert lr == schedule((step - 1) / 5)[0]
    assert losses(folder)[1][2] == 0.0
    facts = json.loads((folder / "config.json").read_text())
    assert {"batch": BATCH, "root": "a"}.items() <= facts["config"].items()
    assert facts["config"]["run"]["seed"] == 0
    assert "torch" in facts["versions"]
    assert (folder / "loss.png").stat().st_size > 1000
    assert list((folder / "tensorboard").iterdir())
    assert sorted(epoch_means(rows)) == [1, 2, 3]
    names = {"checkpoints", "config.json", "loss.png", "metrics.csv", "tensorboard"}
    names |= {"README.txt", "log.txt"}
    assert {path.name for path in folder.iterdir()} == names


def test_weights_in_a_checkpoint_are_the_models(unbroken: dict[int, Any]) -> None:
    folder, model = unbroken[1]
    path = _saves.latest(folder / "checkpoints")
    assert path is not None
    state = torch.load(path, weights_only=True)
    assert state["run"] == {"step": 15, "data": {"consumed": 60, "length": 22, "batch": 4}}
    assert {f"model.{name}" for name in model.state_dict()} == set(state["state_dict"])


def test_finished_run_says_so_and_has_its_weights(
    tmp_path: Path, unbroken: dict[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path)
    before = (tmp_path / "metrics.csv").read_bytes()
    fitted, model = train(tmp_path, resume=True)
    assert "nothing left to train" in capsys.readouterr().out
    assert fitted.finished
    assert sorted(fitted.scores) == [0, 5, 10, 15]
    assert same(model, unbroken[1][1])
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_folder_rules(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to resume"):
        train(tmp_path, resume=True)
    train(tmp_path, max_steps=1, evaluates=False)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"pass --run\.resume"):
        train(tmp_path)
    with pytest.raises(ValueError, match=r"batch was 4, now 8$"):
        train(tmp_path, resume=True, config={"batch": 8, "root": "b"})
    with pytest.raises(ValueError, match=r"run\.accumulate was 1, now 2$"):
        train(tmp_path, resume=True, accumulate=2)
    with pytest.raises(ValueError, match="global batches of 4"):
        train(tmp_path, resume=True, world_batch=2)
    assert contents(tmp_path) == before
    fitted, _ = train(tmp_path, resume=True, max_steps=2, config={"batch": 4, "root": "b"})
    assert fitted.step == 2


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(tmp_path, max_steps=1)

    class Other(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(6, 1)

    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"another model: .* differ: net"):
        train(tmp_path, resume=True, model=Other())
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("workers", [0, 2])
def test_not_finite_stops_and_names(tmp_path: Path, workers: int) -> None:
    with pytest.raises(FloatingPointError) as stopped:
        train(tmp_path, dataset=Points(bad=0), save_every=1, workers=workers)
    text = str(stopped.value)
    step = len(losses(tmp_path)) + 1
    assert f"loss nan in step {step}" in text
    assert "clip0.mp4" in text
    assert (f"step-{step - 1:08d}.ckpt" if step > 1 else "none yet") in text


@pytest.mark.usefixtures("reading")
def test_a_gradient_that_is_not_finite_stops_and_names_the_steps_clips(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="gradient norm nan in step 1") as stopped:
        train(tmp_path, model=Steep(), accumulate=2)
    assert str(stopped.value).count(".mp4") == 2 * BATCH


@pytest.mark.parametrize(("workers", "accumulate"), [(0, 2), (2, 1)])
def test_steps_left_out_are_counted_and_resumed_exactly(
    tmp_path: Path, workers: int, accumulate: int, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "dataset": Points(bad=0),
        "workers": workers,
        "accumulate": accumulate,
        "on_nonfinite": "skip",
    }
    _, model = train(tmp_path / "whole", **settings)
    said = capsys.readouterr().out
    rows = read_rows(tmp_path / "whole" / "metrics.csv")
    left_out = [int(row["step"]) for row in rows if "nonfinite" in row]
    assert 0 < len(left_out) <= 3
    assert losses(tmp_path / "whole").keys() == set(range(1, max(left_out) + 1)) - {*left_out} | {
        *range(max(left_out) + 1, 15 // accumulate + 1 + (accumulate > 1))
    }
    assert said.count("step left out") == said.count("clip0.mp4") == len(left_out)
    assert f"step left out, {len(left_out)} so far" in said
    assert all(value.isfinite().all() for value in model.state_dict().values())
    for stop in (left_out[0] - 1, left_out[0], left_out[0] + 1, None):
        if stop != 0:
            resume = (tmp_path / "parts").is_dir()
            _, parts = train(tmp_path / "parts", **settings, max_steps=stop, resume=resume)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert same(parts, model)
    assert f"step left out, {len(left_out)} so far" in capsys.readouterr().out


def test_a_run_of_nothing_but_such_steps_ends(tmp_path: Path) -> None:
    for model in (None, Steep()):
        folder = tmp_path / type(model).__name__
        bad = AllBad() if model is None else Points()
        with pytest.raises(FloatingPointError, match=r"in step 10; .* 10 such steps in a row"):
            train(folder, dataset=bad, model=model, on_nonfinite="skip", save_every=1)
        before, after = (
            torch.load(folder / f"checkpoints/step-{step:08d}.ckpt", weights_only=True)
            for step in (8, 9)
        )
        for name, value in before["state_dict"].items():
            assert torch.equal(value, after["state_dict"][name]), name


@pytest.mark.parametrize("workers", [0, 1])
def test_data_error_is_one_line(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ValueError) as failed:
        train(tmp_path, dataset=Points(fails=3), workers=workers)
    assert user_line(failed.value) == "clip3.mp4 has no sound"


def test_other_processes_than_torchrun_started_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "none"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ValueError, match=r"started 2 processes, but --run\.nodes 1 with --run\.devices 1"
    ):
        train(tmp_path)


def test_mixed_precision_and_clipping(tmp_path: Path) -> None:
    fitted, _ = train(tmp_path, precision="bf16-mixed", clip_grad=0.1, max_steps=6)
    assert fitted.step == 6
    norms = [norm for *_, norm in losses(tmp_path).values()]
    assert max(norms) > 0.1  # the norm is what it was before clipping
    plain = tmp_path / "plain"
    train(plain, max_steps=6)
    assert losses(plain) != losses(tmp_path)


def test_plan() -> None:
    plan = Plan(batches=10, epochs=3, accumulate=4, evaluate_every=2)
    assert plan.total == 8
    assert [s for s in range(1, 9) if plan.ends_epoch(s)] == [3, 5, 8]
    assert [s for s in range(9) if plan.evaluates(s)] == [0, 5, 8]
    assert Plan(batches=1, epochs=2, accumulate=4, max_steps=9).stop == 1
    with pytest.raises(ValueError, match="batches must be at least 1, got 0"):
        Plan(batches=0, epochs=2)


def test_loss_curve_needs_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row"):
        loss_curve(tmp_path / "none.csv", tmp_path / "none.png")


def test_metrics_survive_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,loss\n1,0.5,2.5\n2,1.0,1.")
    assert read_rows(path) == [{"step": 1, "epoch": 0.5, "loss": 2.5}]


DDP = """
import sys
import time
from pathlib import Path
import torch
import engine_toy
torch.set_num_threads(1)
folder, stop, resume, strategy = sys.argv[1:]
fitted, _ = engine_toy.train(
    Path(folder),
    devices=2,
    strategy=strategy,
    clip_grad=1.0,
    max_steps=int(stop),
    resume=resume == "yes",
)
if fitted.rank == 0:
    print("ended at", fitted.step)
"""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_resume_exactly(tmp_path: Path, strategy: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(DDP)

    def run(*words: str) -> str:
        command = [sys.executable, str(script), *words]
        paths = {"PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parent}", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=paths)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "ended at 15" in run(str(tmp_path / "a"), "15", "no", strategy)
    run(str(tmp_path / "b"), "7", "no", strategy)
    said = run(str(tmp_path / "b"), "15", "yes", strategy)
    assert said.count("ended at 15") == 1
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert len(losses(tmp_path / "a")) == 3 * (LENGTH // BATCH)


@pytest.mark.slow
def test_all_processes_of_a_resumed_fsdp_run_end_by_themselves(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(DDP)
    paths = {"PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parent}", "PATH": "/usr/bin:/bin"}
    for stop, resume in (("2", "no"), ("4", "yes")):
        command = [sys.executable, str(script), str(tmp_path / "run"), stop, resume, "fsdp"]
        with subprocess.Popen(command, env=paths, start_new_session=True) as process:
            try:
                assert process.wait(timeout=240) == 0
                for _ in range(300):
                    if not alive(process.pid):
                        break
                    time.sleep(0.1)
                assert not alive(process.pid)
            finally:
                if alive(process.pid):
                    os.killpg(process.pid, signal.SIGKILL)
    assert losses(tmp_path / "run").keys() == {1, 2, 3, 4}


def alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
