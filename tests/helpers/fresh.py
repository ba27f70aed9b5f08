"""Fresh interpreters that have torch and nothing of ours, for the price of one.

One process imports torch, which takes seconds, and a fork of it runs each piece of code: what an
import of ours costs and brings along is to be seen there, and a kill ends the fork alone.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SERVER = """
import json, os, sys, traceback
import torch
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        code = 0
        try:
            for number, path in ((1, asked["out"]), (2, asked["err"])):
                os.dup2(os.open(path, os.O_WRONLY), number)
            os.chdir(asked["cwd"])
            for name in set(os.environ) - set(asked["env"]):
                del os.environ[name]
            os.environ.update(asked["env"])
            sys.argv = ["-c", *asked["words"]]
            exec(compile(asked["code"], "<fresh>", "exec"), {"__name__": "__main__"})
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """How a piece of code ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Fresh:
    """Runs pieces of code, each in a fork of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _SERVER]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)

    def __call__(
        self, code: str, *words: str, env: Mapping[str, str] = os.environ, cwd: Path = ROOT
    ) -> Done:
        """Run code with some words in ``sys.argv``."""
        asked = {"code": code, "words": words, "env": dict(env), "cwd": str(cwd)}
        assert self._server.stdin is not None and self._server.stdout is not None
        with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
            asked |= {"out": out.name, "err": err.name}
            self._server.stdin.write(json.dumps(asked) + "\n")
            self._server.stdin.flush()
            return Done(int(self._server.stdout.readline()), out.read(), err.read())

    def close(self) -> None:
        """End the process."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.terminate()  # a process forked since may hold the other end of its input
        self._server.wait()
        self._server.stdout.close()
