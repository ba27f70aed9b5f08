"""Remarks in shell commands, as a token of their own that the copy buttons leave out.

In a block of ``bash``, ``# ...`` is highlighted as `Comment.Special` (class ``cs``), except for
options of SLURM.
"""

from collections.abc import Iterator
from typing import Any

from pygments.lexers.shell import BashLexer
from pygments.token import Comment
from sphinx.application import Sphinx


class CommandLexer(BashLexer):
    """Lexer of shell commands."""

    def get_tokens_unprocessed(
        self, text: str, stack: tuple[str, ...] = ("root",)
    ) -> Iterator[tuple[int, Any, str]]:
        """Split a text into tokens, see `pygments.lexer.RegexLexer`."""
        for index, token, value in super().get_tokens_unprocessed(text, stack):
            remark = token is Comment.Single and not value.startswith("#SBATCH")
            yield index, Comment.Special if remark else token, value


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the lexer."""
    app.add_lexer("bash", CommandLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
