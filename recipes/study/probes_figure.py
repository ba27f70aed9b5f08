"""Table and figure of the study of probes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avblocks.viz import plain_label, save_figure
from recipes.common.scores import score_table

Row = Mapping[str, Any]


def title(row: Row, *, names: Sequence[str]) -> str:
    """Return the name of the encoder of a row, and what it was given."""
    return f"{row[names[0]]}, {', '.join(str(row[name]) for name in names[1:])}"


def table(rows: Sequence[Row]) -> str:
    """Format the scores of the mean of the streams, one line per row."""
    found = {}
    for row in rows:
        name = title(row, names=("checkpoint", "given", "head"))
        found[name + ", random" * (row["start"] == "random")] = row["scores"]["all"]
    return score_table(found)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a bar per head of each encoder and modality; a line is the random encoder."""
    from matplotlib.figure import Figure

    metric = next(iter(rows[0]["scores"]["all"]))
    groups = list(dict.fromkeys(title(row, names=("checkpoint", "given")) for row in rows))
    heads = list(dict.fromkeys(row["head"] for row in rows))
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(groups) * len(heads)), layout="constrained")
    ax, height = figure.subplots(), 0.8 / len(heads)
    for row in rows:
        place = groups.index(title(row, names=("checkpoint", "given")))
        place += (heads.index(row["head"]) - (len(heads) - 1) / 2) * height
        value = row["scores"]["all"][metric]
        if row["start"] == "random":
            ax.plot([value] * 2, [place - height / 2, place + height / 2], color="black", lw=2)
        else:
            ax.barh(place, value, height=height, color=f"C{heads.index(row['head'])}")
    for number, head in enumerate(heads):
        ax.barh(0, 0, color=f"C{number}", label=head)
    ax.plot([], [], color="black", lw=2, label="random encoder")
    ax.set_yticks(range(len(groups)), [plain_label(name) for name in groups], fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel(metric)
    ax.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    save_figure(figure, path)
