"""What a run was made with: command, code, package versions and machine."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from recipes.engine.command import command_line

PACKAGES = ("avblocks", "torch", "torchvision", "torchaudio", "av", "numpy", "lightning")


def provenance() -> dict[str, Any]:
    """Return command, git commit, package versions and machine, for `config.json`."""
    return {
        "command": command_line(),
        "git": git_state(Path(__file__).parent),
        "versions": versions(),
        "machine": machine(),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the repository of a folder, and whether it has changes; else None."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):  # no git, or no repository
        return None


def versions() -> dict[str, str]:
    """Return the versions that may affect the results of a run."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """Describe the machine."""
    gpus = range(torch.cuda.device_count())
    return {
        "node": platform.node(),
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(number) for number in gpus],
    }


def cpu_name() -> str:
    """Return the name of the processor."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
