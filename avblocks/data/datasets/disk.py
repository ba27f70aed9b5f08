"""Read the tables and list the folders of data sets on disk."""

import csv
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

EXTENSIONS = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v"})
AUDIO_SUFFIXES = frozenset({".wav", ".flac"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

SPREADSHEET = (
    "spreadsheet programs turn ids that begin with '-' or '=' into others, such as '#NAME?': get "
    "the file again"
)
"""The usual reason for a damaged id, for errors."""
_LONGEST = 2000  # characters of a field
_OTHERS = (";", "\t", "|")
_DAMAGED = re.compile(r"#[^\s,]+[!?]|#N/?[AVD]")  # as in #REF!, #NOM?; #N/A and its translations


def read_rows(path: Path, *, columns: int | None) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers, from 1, and stripped fields of a csv file, with any line endings.

    A byte order mark, lines of blank fields and, before the first row, lines that start with ``#``
    are skipped, unless they start with an error of a spreadsheet program.

    Args:
        path: The file.
        columns: Required number of columns; that of the first line if not given.

    Raises:
        ValueError: If the file is missing or not text, a line has another number of columns or a
            field of over 2,000 characters, or a spreadsheet program has damaged its first field.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the data set's csv belongs there")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        begun = False
        try:
            for row in reader:
                damaged = row and _DAMAGED.fullmatch(row[0].strip())
                blank = not any(field.strip() for field in row)
                if blank or (not begun and row[0].startswith("#") and not damaged):
                    continue
                begun, columns = True, columns or len(row)
                fault = _other_columns(row, columns) if len(row) != columns else ""
                if damaged:
                    fault = f"{row[0]!r} is no id; {SPREADSHEET}"
                if len(longest := max(row, key=len)) > _LONGEST:
                    fault = f"{len(longest)} characters in a field; is there a quote too much?"
                if fault:
                    raise ValueError(f"{path}, line {reader.line_num}: {fault}: {row!s:.200}")
                yield reader.line_num, [field.strip() for field in row]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path}: not a csv file in UTF-8 ({error})") from error


def _other_columns(row: Sequence[str], columns: int) -> str:
    return f"{len(row)} columns, expected {columns}{separators(row)}"


def separators(row: Sequence[str]) -> str:
    """Return a remedy for a line whose fields are separated by another character than a comma."""
    other = next((mark for mark in _OTHERS if len(row) == 1 and mark in row[0]), None)
    return "" if other is None else f"; separate fields by commas, not {other!r}"


def read_ids(path: Path) -> dict[str, None]:
    """Read the unique ids in the first column of a csv file, in their order.

    Raises:
        ValueError: If the file is missing or not UTF-8, lines differ in their number of columns, a
            field has over 2,000 characters, or a spreadsheet program has damaged an id.
    """
    return dict.fromkeys(row[0] for _, row in read_rows(path, columns=None))


def plain_name(text: str, *, where: str) -> str:
    """Validate that a name from a table is a plain name of a file or folder.

    Raises:
        ValueError: If it contains a path separator or is ``..``, and so leads elsewhere.
    """
    if not text or text in (".", "..") or re.search(r"[/\\\0]", text):
        raise ValueError(
            f"{where}: {text!r} is no plain name, and would lead elsewhere; correct it"
        )
    return text


def media_files(
    root: Path, *, suffixes: frozenset[str] = EXTENSIONS, kind: str = "video"
) -> list[Path]:
    """List the files with given suffixes in a folder, at any depth, sorted.

    Symbolic links are followed, and each folder is visited once. Names that start with a dot are
    skipped.

    Args:
        root: The folder.
        suffixes: Suffixes of the files, in lower case; upper case matches too.
        kind: Name of such files in the error message.

    Raises:
        ValueError: If the folder is missing or contains no such file, or a folder in it cannot be
            listed.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; give the one that holds the clips")
    found: list[Path] = []
    seen = {os.path.realpath(root)}
    for folder, names, files in os.walk(root, onerror=_refuse, followlinks=True):
        names[:] = [name for name in sorted(names) if _is_new(Path(folder, name), seen)]
        found += [
            Path(folder, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes
        ]
    if not found:
        kinds = " ".join(sorted(suffixes))
        raise ValueError(f"{root}: no {kind} file at any depth; looked for {kinds}")
    return sorted(found)


def _refuse(error: OSError) -> None:
    """Raise an error for a folder that cannot be listed, except the one that file systems have."""
    if Path(error.filename).name != "lost+found":
        raise ValueError(
            f"{error.filename}: cannot be listed ({error.strerror}), so its clips would be left "
            "out; give yourself access to it, or move it out of the folder"
        ) from error


def add_file(files: dict[str, str], key: str, path: Path) -> None:
    """Add the file of an id; copies in other folders replace each other.

    Raises:
        ValueError: If the id has a file in the same folder already, with another suffix.
    """
    before = files.setdefault(key, str(path))
    if before != str(path) and Path(before).parent == path.parent:
        raise ValueError(f"{before} and {path.name}: two files of {key!r}; move one elsewhere")
    files[key] = str(path)


def files_by_id(
    root: Path, stem: re.Pattern[str], wanted: Collection[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Map ids to video files in a folder; the group ``id`` of pattern ``stem`` is the id.

    Returns:
        The files, and remarks for the report if wanted ids have no file.

    Raises:
        ValueError: If the folder is missing or has no video, or two files of a folder have one id.
    """
    paths, unfit = dict[str, str](), list[Path]()
    for path in media_files(root):
        match = stem.fullmatch(path.stem)
        if match and match["id"] in wanted:
            add_file(paths, match["id"], path)
        else:
            unfit.append(path)
    missing = next((key for key in wanted if key not in paths), None)
    if missing is None or not unfit:
        return paths, ()
    fit = f"{len(unfit)} files fit no listed clip, such as {unfit[0].name}"
    return paths, (fit, f"looked for names such as {missing}.mp4")


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Return whether a folder is not hidden and was not visited before, under any name."""
    real = os.path.realpath(folder)
    if folder.name.startswith(".") or real in seen:
        return False
    seen.add(real)
    return True
