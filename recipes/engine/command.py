"""The command of the running program, and the one that resumes its run."""

import shlex
import sys
from pathlib import Path


def module_name() -> str:
    """Return the name of the running module, as given to `python -m`."""
    spec = sys.modules["__main__"].__spec__
    return (spec.name if spec else f"recipes.{Path(sys.argv[0]).stem}").removesuffix(".__main__")


def command_line() -> str:
    """Return the command of this program."""
    script = sys.modules["__main__"].__spec__ is None
    program = [sys.argv[0]] if script else ["-m", module_name()]
    return shlex.join(["python", *program, *sys.argv[1:]])


def resume_command() -> str:
    """Return the command that resumes this run."""
    kept, before = [], ""
    for word in sys.argv[1:]:
        option = word.partition("=")[0].replace("_", "-")
        if option not in ("--run.max-steps", "--run.resume") and before != "--run.max-steps":
            kept.append(word)
        before = word.replace("_", "-")
    return shlex.join(["python", "-m", module_name(), *kept, "--run.resume"])
