"""`README.txt` of a folder of results: what each file is, and the commands that continue."""

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from avblocks.files import write_text

NAME = "README.txt"
RUN_FILES = {
    "README.txt": "this file",
    "config.json": "all settings, classes, clips, command, git commit, package versions, machine; "
    "--config FILE repeats the run",
    "log.txt": "the lines of the console; a resumed run appends",
    "metrics.csv": "losses, learning rate, gradient norm and speed of each step, and evaluations",
    "loss.png": "the loss and the evaluations over the epochs",
    "tensorboard": "the same for TensorBoard, with figures and audio: tensorboard --logdir .",
    "checkpoints": "the newest checkpoints, with their checksums, to resume or to start from",
    "best": "the checkpoint with the best evaluation (--run.keep-best), with its checksum",
    "skipped.csv": "files that could not be used, with reasons",
    "scores.json": "the scores of the final test; written last",
    "reconstruction.png": "test clips, their masked patches and their reconstruction",
    "predictions.csv": "the true classes of each test clip, and the five most likely ones",
    "classes.png": "the score of each class",
    "confusion.png": "the fraction of the clips of each class (row) that is found in each (column)",
    "maps.png": "heat maps of test clips, with their boxes",
    "segmentation.png": "masks of test clips: the image, the prediction, the truth",
    "separation.png": "spectrograms of test mixtures, their sources and the separated audio",
    "wavs": "audio of the rows of separation.png: mixture, truth, and separated by each image",
    "features": "features of the clips while the run trains; may be removed after it",
}
"""Files of a run folder by name or pattern, and what they are."""


def write_readme(
    folder: Path, *, title: str, files: Mapping[str, str], sections: Mapping[str, str]
) -> None:
    """Write the README.txt of a folder, with descriptions of files by name and text by heading."""
    width = max(map(len, files))
    lines = [title, "", "Files:", *(f"  {n:{width}}  {about}" for n, about in files.items())]
    for heading, text in sections.items():
        lines += ["", f"{heading}:", *(f"  {line}" for line in text.splitlines())]
    write_text(folder / NAME, "\n".join(lines) + "\n")


def described(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Select the descriptions of the files that are in a folder."""
    there = {NAME, *(path.name for path in folder.iterdir())}
    return {
        name: about for name, about in files.items() if any(fnmatch(one, name) for one in there)
    }
