"""Runs on one video with different audio, side by side."""

from html import escape
from pathlib import Path

from recipes.demo.timeline import Classes

History = tuple[str, tuple[tuple[str, str], ...]]
"""A video, and the audio and the most likely class of each run on it."""
EMPTY: History = ("", ())


def remember(past: History, video: str, audio: str, table: Path) -> History:
    """Add a run to those on the same video, if it has a table of classes."""
    if not table.is_file():
        return past
    before = past[1] if past[0] == video else ()
    rows = [row for row in before if row[0] != audio]
    return video, (*rows, (audio, Classes.read(table).overall()))


def render_history(past: History) -> str:
    """Compare the runs on a video, if there are several.

    >>> render_history(("a.mp4", (("Its own audio", "dog (80%)"),)))
    ''
    >>> "<td>dog (20%)</td>" in render_history(
    ...     ("a.mp4", (("Its own audio", "dog (80%)"), ("Muted", "dog (20%)")))
    ... )
    True
    """
    if len(past[1]) < 2:
        return ""
    rows = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in past[1])
    return (
        '<section class="av-section" id="av-history"><h2>Does the model listen?</h2>'
        '<table class="av-history"><tr><th>Audio</th><th>Most likely class on average</th></tr>'
        f"{rows}</table></section>"
    )
