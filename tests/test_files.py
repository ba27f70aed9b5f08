"""Files are replaced whole or not at all; CSV files survive cuts, odd names, other processes."""

import csv
import multiprocessing
import os
from pathlib import Path

import pytest
from fresh import Fresh
from hypothesis import given
from hypothesis import strategies as st

from avblocks import files
from avblocks.csvlog import CsvLog, read_csv, write_csv
from avblocks.files import fingerprint, replacing, sweep, temporary, write_text

CELLS = st.text(st.characters(codec="utf-8") | st.sampled_from('"\r\n,'), max_size=5)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestReplacing:
    def test_the_new_file_takes_the_place_of_the_old_one(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "a.txt"
        for text in ("old", "new"):
            with replacing(path) as half:
                assert half.parent == path.parent and half.name.startswith(".")
                half.write_text(text)
                assert path.exists() == (text == "new")
            assert path.read_text() == text and names(path.parent) == ["a.txt"]

    def test_after_an_error_the_old_file_is_there(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("old")
        with pytest.raises(KeyError), replacing(path) as half:
            half.write_text("half of the n")
            raise KeyError
        assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]

    def test_what_killed_processes_left_goes(self, tmp_path: Path) -> None:
        dead, running = 2**22 + 1, os.getppid()
        one, other = Path("a-1.txt"), Path("a-27.txt")
        gone = [temporary(*p).name for p in ((one, dead), (other, dead), (one, 10**30))]
        kept = [temporary(*p).name for p in ((one, running), (Path("b-1.txt"), dead))]
        kept += [".a-1.txt.tmp", ".a-1.txt.x.tmp", f".a-1.txt.{dead}-elsewhere.tmp"]
        for name in (*gone, *kept):
            (tmp_path / name).touch()
        with replacing(tmp_path / "a-1.txt", durable=False) as half:
            half.touch()
        assert names(tmp_path) == sorted((*gone, *kept, "a-1.txt"))
        write_text(tmp_path / "a-1.txt", "new")
        assert names(tmp_path) == sorted((*kept, "a-1.txt"))

    def test_a_file_that_was_not_written_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("old")
        with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
            pass
        assert (tmp_path / "a.txt").read_text() == "old"

    def test_file_and_name_are_forced_to_disk_in_this_order(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, seen = tmp_path / "a.txt", []
        monkeypatch.setattr(
            files, "sync", lambda synced: seen.append((synced, synced.exists(), path.exists()))
        )
        with replacing(path) as half:
            half.write_text("new")
        assert seen == [(half, True, False), (tmp_path, True, True)]

    def test_what_need_not_be_durable_is_not_synced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(files, "sync")
        with replacing(tmp_path / "a.txt", durable=False) as half:
            half.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "new" and names(tmp_path) == ["a.txt"]

    def test_a_failed_sync_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.txt"
        write_text(path, "old")

        def full(_: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(files, "sync", full)
        with pytest.raises(OSError, match="No space left"):
            write_text(path, "new")
        assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


FULL = """
import resource, sys
from pathlib import Path
import torch
from avblocks.data.write import write_clip, write_wave
from avblocks.csvlog import CsvLog
from avblocks.files import write_text
from avblocks.viz import panel, save_figure
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
folder = Path(sys.argv[1])
noise = torch.randint(0, 255, (30, 64, 64, 3), dtype=torch.uint8)
sound = torch.rand(16000)
log = CsvLog(folder / "log.csv", ["a"])
for name, write in {
    "clip.mp4": lambda path: write_clip(path, frames=noise, audio=sound, fps=9, rate=16000),
    "sound.wav": lambda path: write_wave(path, sound, rate=16000),
    "text.txt": lambda path: write_text(path, "x" * 9000),
    "log.csv": lambda path: log.append({"a": "x" * 9000}),
    "picture.png": lambda path: save_figure(panel({"x": torch.rand(1, 3, 99, 99)}), path),
}.items():
    try:
        write(folder / name)
    except OSError as error:
        print(name, "|", error)
log._file.detach()
"""


def test_a_full_disk_is_told_with_the_file(fresh: Fresh, tmp_path: Path) -> None:
    done = fresh(FULL, str(tmp_path))
    said = dict(line.split(" | ") for line in done.stdout.splitlines())
    assert len(said) == 5, done
    for name, error in said.items():
        assert error == f"[Errno 27] File too large: '{tmp_path / name}'"
    assert not list(tmp_path.glob(".*"))


def test_other_errors_keep_their_file(tmp_path: Path) -> None:
    for error in (OSError(28, "full", "other"), FileNotFoundError(2, "none"), ValueError("x")):
        with pytest.raises(type(error)) as raised, replacing(tmp_path / "a.txt"):
            raise error
        assert raised.value is error


def test_what_killed_processes_left_in_a_folder_goes(tmp_path: Path) -> None:
    dead = temporary(tmp_path / "localization.mp4", 2**22 + 1)
    mine = temporary(tmp_path / "other.wav", os.getpid())
    for path in (dead, mine, tmp_path / ".hidden.tmp"):
        path.touch()
    sweep(tmp_path)
    assert names(tmp_path) == sorted([mine.name, ".hidden.tmp"])


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    for text in ("", "a\nb\r\nc", "größe 音", os.fsdecode(b"not \xff utf-8")):
        write_text(tmp_path / "a", text)
        assert (tmp_path / "a").read_bytes() == os.fsencode(text)


def test_a_fingerprint_tells_contents_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path, text in ((one, "abc"), (other, "abd")):
        path.write_text(text)
    assert fingerprint(one)["bytes"] == fingerprint(other)["bytes"] == 3
    assert fingerprint(one) == fingerprint(one) != fingerprint(other)
    assert fingerprint(one)["sha256"].startswith("ba7816bf8f01cfea")  # of "abc", FIPS 180-2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv")


class TestReadCsv:
    def test_no_file_and_an_empty_one(self, tmp_path: Path) -> None:
        assert read_csv(tmp_path / "none.csv") == ([], [])
        for text in ("", "a,b"):  # a head without its end is cut off too
            (tmp_path / "a.csv").write_text(text)
            assert read_csv(tmp_path / "a.csv") == ([], [])

    @given(st.lists(st.tuples(CELLS, CELLS), max_size=4), st.data())
    def test_what_is_written_is_read_and_a_cut_costs_the_last_row(
        self, folder: Path, rows: list[tuple[str, str]], data: st.DataObject
    ) -> None:
        path = folder / "a.csv"
        write_csv(path, ["one", "two"], rows)
        wanted = [{"one": one, "two": two} for one, two in rows]
        assert read_csv(path) == (["one", "two"], wanted)
        whole = path.read_bytes()
        head = len(b"one,two\n")
        cut = data.draw(st.integers(head, len(whole)))
        path.write_bytes(whole[:cut])
        columns, found = read_csv(path)
        assert columns == ["one", "two"] and found == wanted[: len(found)]
        write_csv(path, ["one", "two"], rows[: len(found) + 1])
        assert len(found) == len(rows) or cut < path.stat().st_size  # no whole row is lost

    @pytest.mark.parametrize("row", ["1", "1,2,3", "", '"1,2"'])
    def test_a_row_of_another_length_is_named(self, tmp_path: Path, row: str) -> None:
        path = tmp_path / "a.csv"
        path.write_text(f'a,b\n"x\ny",2\n{row}\n3,4\n')
        count = {"": 0, "1,2,3": 3}.get(row, 1)
        with pytest.raises(ValueError, match=rf"a\.csv, line 4: {count} cells, expected 2: mend"):
            read_csv(path)

    def test_names_that_are_not_utf_8(self, tmp_path: Path) -> None:
        name = os.fsdecode(b"caf\xe9.mp4")
        write_csv(tmp_path / "a.csv", ["path"], [[name]])
        assert b"caf\xe9.mp4" in (tmp_path / "a.csv").read_bytes()
        assert read_csv(tmp_path / "a.csv")[1] == [{"path": name}]

    def test_lines_may_end_as_on_windows(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(b"a,b\r\n1,2\r\n3,4\r")
        assert read_csv(tmp_path / "a.csv") == (["a", "b"], [{"a": "1", "b": "2"}])


class TestCsvLog:
    def test_a_row_is_there_once_it_is_appended(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "log.csv"
        with CsvLog(path, ["a", "b"]) as log:
            for number in range(3):
                log.append({"b": str(number)})
                assert len(read_csv(path)[1]) == number + 1
        assert path.read_bytes() == b"a,b\n,0\n,1\n,2\n"

    def test_rows_are_kept_but_for_a_cut_one(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        whole = b'a,b\n1,"x\ny"\n'
        for cut in (b"", b"2", b'2,"x', b'2,"x\n', b'2,"x\ny""', b"2,3"):
            path.write_bytes(whole + cut)
            with CsvLog(path, ["a", "b"]) as log:
                log.append({"a": "9", "b": "8"})
            assert path.read_bytes() == whole + b"9,8\n"

    def test_a_new_name_adds_a_column(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        with CsvLog(path) as log:
            log.append({"a": "1"})
            log.append({"b": "2"})
            log.append({"a": "3"})
            assert log.columns == ["a", "b"]
        assert path.read_text() == "a,b\n1,\n,2\n3,\n" and names(tmp_path) == ["log.csv"]
        with CsvLog(path, ["b", "c"]) as log:
            assert log.columns == ["a", "b", "c"]
        assert path.read_text() == "a,b,c\n1,,\n,2,\n3,,\n"

    def test_given_rows_replace_those_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("x\n1\n")
        with CsvLog(path, ["a"], rows=[{"a": "1"}, {"b": "2"}]) as log:
            log.append({"a": "3"})
        assert path.read_text() == "a,b\n1,\n,2\n3,\n"
        with CsvLog(path, ["a"], rows=[]):
            pass
        assert path.read_text() == "a\n"

    def test_closing_twice(self, tmp_path: Path) -> None:
        log = CsvLog(tmp_path / "log.csv", ["a"])
        log.append({"a": "1"})
        log.close()
        log.close()
        assert read_csv(log.path) == (["a"], [{"a": "1"}])

    def test_a_damaged_file_gets_no_new_column(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("a,b\n1\n2,3\n")
        with pytest.raises(ValueError, match="line 2: 1 cells, expected 2"):
            CsvLog(path, ["c"])
        assert path.read_text() == "a,b\n1\n2,3\n"


def log_rows(path: Path, name: str, count: int) -> None:
    for number in range(count):
        with CsvLog(path, ["name", "number"], shared=True) as log:
            log.append({"name": name, "number": str(number)})


class TestSharedLog:
    def test_processes_lose_nothing_of_each_other(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        context = multiprocessing.get_context("fork")
        team = [context.Process(target=log_rows, args=(path, name, 50)) for name in "abc"]
        for process in team:
            process.start()
        for process in team:
            process.join()
            assert process.exitcode == 0
        with path.open(newline="") as file:
            found = [(row["name"], int(row["number"])) for row in csv.DictReader(file)]
        assert sorted(found) == [(name, number) for name in "abc" for number in range(50)]

    def test_a_row_that_a_kill_cut_off_is_not_joined_to_the_next(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        log_rows(path, "a", 2)
        path.write_bytes(path.read_bytes()[:-1])
        log_rows(path, "b", 1)
        assert path.read_text() == "name,number\na,0\nb,0\n"

    def test_a_shared_file_gets_no_new_column(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        log_rows(path, "a", 1)
        with pytest.raises(ValueError, match=r"log\.csv: no column .more., but"):
            CsvLog(path, ["more"], shared=True)
        log_rows(path, "b", 1)
        assert len(read_csv(path)[1]) == 2
