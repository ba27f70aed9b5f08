"""The session on a GPU, on the CPU: rows that fail, hang or find no time left end nothing."""

import json
import operator
import os
import re
import subprocess
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipes.benchmark import __main__ as benchmark
from recipes.benchmark import table
from recipes.benchmark.cases import Case, matching
from recipes.benchmark.gpu import session as session_file
from recipes.benchmark.gpu import step as step_file
from recipes.benchmark.gpu.attention import SHAPES, _of_shape, kernels_line
from recipes.benchmark.gpu.plan import Row, rows
from recipes.benchmark.gpu.precision import precision, precision_line
from recipes.benchmark.gpu.runs import _seconds_of, _video
from recipes.benchmark.gpu.session import Config, measure, session
from recipes.benchmark.gpu.step import measured_step, step_line
from recipes.benchmark.gpu.suite import ROOT, counted, marked
from recipes.benchmark.gpu.worker import Worker

# Python says of every fork that threads are lost; these processes use none.
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def row(name: str, measure: Callable[[], Any], **options: Any) -> Row:
    return Row(name=name, measure=measure, **({"seconds": 1, "line": str, "most": 60} | options))


@forks
def test_a_row_that_fails_ends_neither_the_others_nor_their_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that goes wrong keeps its figures."""
    out = tmp_path / "x.json"
    config = Config(smoke=True, minutes=2, out=out)
    listed = [
        row("raises", partial(operator.truediv, 1, 0)),
        row("dies", partial(os._exit, 1)),
        row("hangs", partial(time.sleep, 60), most=0.2),
        row("graphs", dict, cuda=True),
        row("long", dict, seconds=121),
        row("found", partial(dict, a=1), line=lambda found: f"a is {found['a']}"),
        row("no line", partial(dict, a=2), line=lambda found: found["b"]),
    ]
    with Worker(method="fork") as worker:
        measure(listed, worker, config, device="cpu")
    found = figures(out)["gpu"]
    assert found["smoke"] and list(found["rows"]) == [one.name for one in listed]
    assert {name: line for name, line in found["lines"].items() if name != "long"} == {
        "raises": "ZeroDivisionError: division by zero",
        "dies": "the process was killed, mostly for want of memory",
        "hangs": "stopped after 0 s",
        "graphs": "needs CUDA",
        "found": "a is 1",
        "no line": "KeyError: 'b'",
    }
    why = r"no time left: the row takes about 121 s, \d+ s are left"
    assert re.fullmatch(why, found["rows"]["long"]["error"])
    assert found["rows"]["found"]["a"] == 1 and found["rows"]["no line"]["a"] == 2
    assert "s left] found: a is 1" in capsys.readouterr().out


@forks
def test_what_a_row_has_started_is_stopped_with_it() -> None:
    with Worker(method="fork") as worker:
        pid = worker.call(sleeper, seconds=60)["pid"]
        assert runs(pid)
    for _ in range(500):
        if not runs(pid):
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} goes on")


def sleeper() -> dict[str, int]:
    return {"pid": subprocess.Popen(["sleep", "60"]).pid}


def runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split()[2] != "Z"  # one that ended, and nobody asks


def figures(out: Path) -> dict[str, Any]:
    return json.loads(out.read_text())


def test_a_case_is_in_the_table_too_and_no_error_takes_a_figure_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "cost", len)  # which takes seconds
    out = tmp_path / "x.json"
    config = Config(out=out)
    case = Case(task="pretrain", device="cuda", batch=256)
    one = row(case.name, dict, case=case)
    whole_row = dict.fromkeys(("samples_per_s", "memory_mb", "gflop_per_sample"), 1.0)
    whole_row |= {"ms": 1.0, "ms_range": [1.0, 1.0], "share_of_peak": 0.5}
    session_file._write(config, one, {"error": "x"}, "x", device="cuda")
    assert figures(out)["gpu"]["lines"] == {case.name: "x"}
    session_file._write(config, one, whole_row, "good", device="cuda")
    session_file._write(config, one, {"error": "x"}, "x", device="cuda")
    assert figures(out)["gpu"]["lines"] == {case.name: "good"}
    about = {"device": "cuda", "precision": "float32", "batch": 256}
    assert (
        figures(out)["cases"]["cuda"][case.name] == about | figures(out)["gpu"]["rows"][case.name]
    )
    assert figures(out)["tables"]["cuda"][case.name]["of the peak"] == "50%"
    assert figures(out)["cost"] == 1
    with pytest.raises(ValueError, match="holds figures of a GPU; give the rehearsal another"):
        session(Config(out=out, smoke=True))


def test_a_rehearsal_leaves_the_cases_alone(tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    case = Case(task="pretrain", tiny=True)
    config = Config(out=out, smoke=True)
    session_file._write(config, row(case.name, dict, case=case), {"a": 1}, "good", device="cpu")
    assert set(figures(out)) == {"gpu"}
    session_file._write(replace(config, smoke=False), row("b", dict), {}, "b", device="cuda")
    assert figures(out)["gpu"]["lines"] == {"b": "b"}  # and of it nothing among figures


def test_rows_are_all_that_the_session_is_for() -> None:
    listed = rows("cuda", tiny=False)
    names = [one.name for one in listed]
    assert len(set(names)) == len(names)
    worth = [
        "tests",
        "pretrain factorized b256 bfloat16 blocks",
        "backward dense b128 bfloat16 eager",
    ]
    worth += ["attention", "recipe factorized b128 bfloat16 eager", "predict", "pretraining"]
    assert [names.index(name) for name in worth] == sorted(names.index(name) for name in worth)
    batches = {one.case.batch for one in listed if one.case and one.case.task == "pretrain"}
    assert batches == {64, 128, 256, 512}
    assert any(one.case and one.case.decoder == "reading" for one in listed)
    assert all(one.limit >= one.seconds for one in listed)
    assert sum(one.seconds for one in listed[: names.index("pretraining") + 1]) <= 9 * 60
    assert matching(names, ("test*", "pretraining")) == ["tests", "pretraining"]
    with pytest.raises(ValueError, match="--rows 'none' fits none of: machine; tests"):
        matching(names, ("none",), option="--rows")


def test_a_session_takes_a_gpu_or_is_a_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    preset = benchmark.PRESETS["gpu"][1]
    assert preset == Config(minutes=9)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no GPU here: rehearse"):
        benchmark.main(preset)
    with pytest.raises(ValueError, match="--minutes must be above 0"):
        benchmark.main(Config(smoke=True, minutes=0))


def test_a_step_lists_its_slowest_operators() -> None:
    found = measured_step(Case(task="backward", tiny=True, batch=2), 0.01)
    assert found["waits"] == found["synchronizations"] == "needs CUDA"
    shares = [kernel["share"] for kernel in found["kernels"]]
    assert len(shares) == 3 and shares == sorted(shares, reverse=True) and 0 < sum(shares) < 1
    assert all(kernel["calls"] >= 1 and kernel["us"] > 0 for kernel in found["kernels"])
    assert any(kernel["name"].startswith("aten::") for kernel in found["kernels"])
    gpu = found | {"waits": ["x.py:1"], "synchronizations": 1.0}
    assert "1 waits a step (1 by the profiler)" in step_line(gpu)


def on(device: str, **values: Any) -> SimpleNamespace:
    """What torch's profiler says of something on a device."""
    return SimpleNamespace(device_type=SimpleNamespace(name=device), **values)


def test_waits_are_those_within_the_steps() -> None:
    """After the steps the session waits, and the profiler too."""
    names = ("steps", 0, 90), ("cudaLaunchKernel", 5, 6), ("cudaStreamSynchronize", 10, 20)
    names += ("cudaMemcpyAsync", 30, 31), ("cuEventSynchronize", 40, 41)
    names += ("cudaDeviceSynchronize", 95, 99), ("cudaDeviceSynchronize", 100, 110)
    events = [on("CPU", name=n, time_range=SimpleNamespace(start=s, end=e)) for n, s, e in names]
    events += [on("CUDA", name="steps", time_range=SimpleNamespace(start=2, end=98))]
    found: Any = SimpleNamespace(events=lambda: events)
    assert step_file._waiting(found, "cuda") == {"synchronizations": pytest.approx(2 / 3, rel=1e-3)}


def test_the_slowest_kernels_are_those_of_the_device() -> None:
    def row(device: str, key: str, us: float, *, annotation: bool = False) -> SimpleNamespace:
        times = {"self_device_time_total": us, "self_cpu_time_total": 1.0}
        return on(device, key=key, count=6, is_user_annotation=annotation, **times)

    rows = [row("CPU", "aten::mm", 99.0), row("CUDA", "steps", 60.0, annotation=True)]
    rows += [row("CUDA", name, us) for name, us in (("b", 12.0), ("a", 30.0), ("d", 6), ("c", 12))]
    found: Any = SimpleNamespace(key_averages=lambda: rows)
    shown = step_file._slowest(found, "cuda")
    assert [one["name"] for one in shown] == ["a", "b", "c"]
    assert shown[0] == {"name": "a", "calls": 2, "us": 10.0, "share": 0.5}


def test_what_torch_says_of_waits_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr("torch.cuda.synchronize", lambda: None)
    monkeypatch.setattr("torch.cuda.set_sync_debug_mode", modes.append)

    def step() -> None:
        for _ in range(2):
            warnings.warn("called a synchronizing CUDA operation (Triggered at x)", stacklevel=1)
        warnings.warn("Synchronization debug mode is a prototype feature", stacklevel=1)

    found = step_file.waits_of(step)
    assert len(found) == 2 and all(Path(__file__).name in where for where in found)
    assert modes == ["warn", "default"]


@pytest.mark.filterwarnings("ignore")  # torch says why it does not take a kernel
def test_kernels_of_attention_are_named_and_timed() -> None:
    pairs, dense = (replace(s, batch=2) for s in list(SHAPES.values())[:2])
    found = {"pairs": _of_shape(pairs, "cpu"), "dense": _of_shape(dense, "cpu")}
    assert (found["pairs"]["kernel"], found["pairs"]["padded"]["kernel"]) == ("math", "flash")
    assert found["dense"]["kernel"] == "flash" and "padded" not in found["dense"]
    assert "same last dimension" in " ".join(found["pairs"]["alone"]["flash"]["reasons"])
    assert found["pairs"]["ms"] > 0 and found["dense"]["alone"]["math"]["ms"] > 0
    assert "flash refuses" in kernels_line({"shapes": found})


def test_half_precision_is_compared_with_float32() -> None:
    found = precision("cpu", True)
    halves = found["bfloat16"], found["float16"]
    assert all(0 <= half["loss"] < 0.01 and 0 <= half["trained"] < 0.01 for half in halves)
    assert 0.05 > halves[0]["gradient"] > 3 * halves[1]["gradient"] > 0  # 8 bits, and 11
    assert "bfloat16 loss" in precision_line(found)


REPORT = """<testsuites><testsuite>
<testcase classname="tests.a" name="one"/>
<testcase classname="tests.a" name="two"><skipped message="needs a GPU"/></testcase>
<testcase classname="tests.a" name="three"><failure message="assert
  1 == 2">traceback</failure></testcase>
</testsuite></testsuites>"""


def test_outcomes_of_tests_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text(REPORT)
    why = {"tests.a::two": "needs a GPU", "tests.a::three": "assert 1 == 2"}
    assert counted(tmp_path / "x.xml") == {"passed": 1, "failed": 1, "skipped": 1, "why": why}


def test_the_tests_that_need_a_gpu_are_found() -> None:
    names = {str(Path(file).relative_to(ROOT)) for file in marked()}
    assert {"tests/test_gpu.py", "tests/nn/test_maskers.py", "tests/recipes/test_syncs.py"} <= names


def test_the_video_is_as_long_as_its_turns(tmp_path: Path) -> None:
    assert _seconds_of(_video(tmp_path, seconds=0.4, height=32)) == pytest.approx(12, rel=0.1)


def test_the_wheels_are_those_that_fit_the_project() -> None:
    """What a machine without network is brought is what `pyproject.toml` asks for."""
    script = (ROOT / "recipes" / "benchmark" / "gpu.sh").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in ("av", "beartype", "dacite", "einops", "filelock", "tyro"):
        assert f" {name}==" in script and f'"{name}>=' in project
    shown = subprocess.run(
        ["bash", str(ROOT / "recipes" / "benchmark" / "gpu.sh")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 2 and "gpu.sh fetch" in shown.stderr


@pytest.mark.slow
def test_whole_recipes_are_rehearsed(tmp_path: Path) -> None:
    session(Config(smoke=True, rows=("predict", "pretraining"), out=tmp_path / "x.json"))
    found = figures(tmp_path / "x.json")["gpu"]["rows"]
    assert found["predict"]["classification"] > 0 and found["predict"]["localization"] > 0
    assert found["pretraining"]["steps"] == 2 and found["pretraining"]["scores"]["nn_all"] >= 0
