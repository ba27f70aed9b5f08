"""The GPU tests, run by pytest as one row."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[3]
MARK = "mark.cuda"
_OUTCOMES = ("failure", "error", "skipped")


def marked() -> list[str]:
    """List the files with tests that are marked as GPU tests."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file) for file in files if MARK in file.read_text(encoding="utf-8")]


def tests(device: str, seconds: float) -> dict[str, Any]:
    """Run the GPU tests; if the device is the CPU, those that can run on it.

    Returns:
        How many passed, failed and were skipped, and the reason for each that did not pass.

    Raises:
        ValueError: If pytest ended without a result.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # Warnings that only GPUs cause are shown, and are not errors.
        words = ["-q", "-m", "cuda", "-W", "default", "-p", "no:cacheprovider", "--tb=short"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, f"--junitxml={report}", *marked()],
            cwd=ROOT,
            env={**os.environ, "AVBLOCKS_TEST_DEVICE": device},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        print(done.stdout, flush=True)
        if not report.is_file():
            raise ValueError(f"pytest ended with {done.returncode}: {done.stdout[-500:]}")
        return counted(report)


def counted(report: Path) -> dict[str, Any]:
    """Count the outcomes in a JUnit file."""
    found: dict[str, Any] = {"passed": 0, "failed": 0, "skipped": 0, "why": {}}
    for case in ElementTree.parse(report).iter("testcase"):
        what = next((one for one in case if one.tag in _OUTCOMES), None)
        if what is None:
            found["passed"] += 1
            continue
        found["skipped" if what.tag == "skipped" else "failed"] += 1
        name = f"{case.get('classname')}::{case.get('name')}"
        found["why"][name] = " ".join(what.get("message", "").split())[:300]
    return found


def tests_line(row: dict[str, Any]) -> str:
    """Format the number of passed tests, and the reasons of the others, as a line."""
    line = f"{row['passed']} passed, {row['failed']} failed, {row['skipped']} skipped"
    return "; ".join([line, *(f"{name}: {why}" for name, why in row["why"].items())])
