"""The code of the guide, the front page and the README is run, as `helpers/pages.py` says.

No other page has any, but for the one on contributing, whose files `test_pages.py` runs.
"""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pages
import pytest
import torch
from joint import joint
from published import dinov2_state, mae_state
from safetensors.torch import save_file
from torch import Tensor

from avblocks import av_vit, av_vit_base
from avblocks.checkpoint import save_pretrained
from recipes.common.embeddings import EmbeddingWriter

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs" / "guide").glob("*.rst")), ROOT / "docs/index.rst"]
PAGES.append(ROOT / "README.md")
NOT_RUN = {ROOT / "CHANGELOG.md", *pages.written(ROOT / "docs")} - {
    *PAGES,
    ROOT / "docs/contributing.rst",
}


def released_files(folder: Path) -> None:
    """What the README loads: a checkpoint as the reference's authors release it, and an encoder.

    Each tensor of the first is one zero, expanded: a quarter of a billion parameters in a small
    file.
    """
    with torch.device("meta"):
        paper = joint(av_vit_base().state_dict())
    names = {
        "interaction.image_aggregator.attn.": "attn.attn_v.",
        "interaction.audio_aggregator.attn.": "attn.attn_a.",
        "interaction.pairs.": "attn.",
        "norm_fusion.": "norm1_mm.",
        "norm_mlp.": "norm2.",
        "norm_image.": "norm1_img.",
        "norm_audio.": "norm1_aud.",
    }

    def theirs(name: str) -> str:
        for ours, other in names.items():
            name = name.replace(ours, other)
        return f"module.encoder.{name}"

    released = {theirs(name): zeros(like) for name, like in paper.items()}
    released["module.image_decoder_mask_token"] = torch.zeros(1, 1, 512)
    torch.save({"state_dict": released}, folder / "deepavfusion.pth")
    torch.save({"model": mae_state(channels=1, patches=512, dim=768)}, folder / "audiomae.pth")
    save_file(dinov2_state(dim=768, side=37), folder / "dinov2.safetensors")
    small = av_vit(16, depth=1, num_heads=2, patch=8, image_size=16, audio_size=(16, 16))
    save_pretrained(small, folder / "encoder")


def zeros(like: Tensor) -> Tensor:
    return torch.zeros(()).expand(like.shape)


def embeddings(folder: Path) -> None:
    """Embeddings of two classes of clips, of which one has larger features."""
    for split in ("train", "test"):
        with EmbeddingWriter(folder / "embeddings" / split, rows=8) as writer:
            for number in range(20):
                features = {"fusion": torch.randn(2, 6) + 6 * (number % 2)}
                about = {"id": f"{split}{number}", "classes": "dog" if number % 2 else "cat"}
                writer.add(features, [about | {"window": str(window)} for window in range(2)])
                writer.end_clip()


GIVEN: dict[str, Callable[[Path], None]] = {
    "README.md": released_files,
    "embeddings.rst": embeddings,
}
"""What a page finds in its folder; the others find nothing."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in, where the page's files can be imported from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    pages.forget(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs(page: Path, folder: Path) -> None:
    GIVEN.get(page.name, lambda folder: None)(folder)
    text = page.read_text(encoding="utf-8")
    shown = sum(text.count(start) for start in (".. code-block:: python", "```python"))
    assert pages.run(page, text, folder) == shown - text.count("not run:")


@pytest.mark.parametrize("page", sorted(NOT_RUN), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_other_page_has_python(page: Path) -> None:
    assert pages.blocks(page.name, page.read_text(encoding="utf-8")) == []


def test_hardly_a_block_is_not_run() -> None:
    found = [block for page in PAGES for block in pages.blocks(page.name, page.read_text())]
    assert sum(block.reason is not None for block in found) <= 2 < len(found)


RST = """
Title
=====

Words, and a formula:

.. math::

   1 + 1

.. code-block:: bash

   not python at all

.. code-block:: python
   :caption: ones/own.py

   ONE = 1

   def double(x):
       return 2 * x

.. code-block:: python

   from ones.own import ONE, double

   two = double(ONE)

* In a list:

  .. code-block:: python

     assert two == 2
     assert [0, 1, 2][::2] == [0, two]
     seen.append(two)
"""
MD = """
# Title

```bash
not python at all
```

* a point
  that goes on

```python
two = 2
```

Words, and ``:: `` in them::

```python
assert two == 2

seen.append(two)
```
"""
both = pytest.mark.parametrize(("name", "text"), [("x.rst", RST), ("x.md", MD)])


@both
def test_blocks_run_in_order(
    name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr("builtins.seen", seen, raising=False)
    pages.run(folder / name, text, folder)
    assert seen == [2]


@both
def test_a_wrong_assertion_is_found_on_its_line(name: str, text: str, folder: Path) -> None:
    wrong = text.replace("assert two == 2", "assert two == 3")
    line = wrong[: wrong.index("assert two")].count("\n") + 1
    with pytest.raises(AssertionError) as failed:
        pages.run(folder / name, wrong, folder)
    last = traceback.extract_tb(failed.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (str(folder / name), line)


@both
def test_an_error_of_syntax_is_found_on_its_line(name: str, text: str, folder: Path) -> None:
    wrong = text.replace("assert two == 2", "assert two ==")
    with pytest.raises(SyntaxError) as failed:
        pages.run(folder / name, wrong, folder)
    line = wrong[: wrong.index("assert two")].count("\n") + 1
    assert (failed.value.filename, failed.value.lineno) == (str(folder / name), line)


def test_a_file_is_run_too_but_not_its_main(folder: Path) -> None:
    page = (
        '.. code-block:: python\n   :caption: a.py\n\n   if __name__ == "__main__":\n       1 / 0\n'
    )
    pages.run(folder / "x.rst", page, folder)
    with pytest.raises(ZeroDivisionError):
        pages.run(folder / "x.rst", page + "   0 / 0\n", folder)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x.rst", ".. code:: python\n\n   x = 1"),
        ("x.rst", ".. sourcecode:: python\n\n   x = 1"),
        ("x.rst", ".. code-block:: py\n\n   x = 1"),
        ("x.rst", ".. code-block:: python3\n\n   x = 1"),
        ("x.rst", ".. code-block:: pycon\n\n   >>> x = 1"),
        ("x.rst", ".. code-block::\n\n   x = 1"),
        ("x.rst", ".. code-block::  python\n\n   x = 1"),
        ("x.rst", ".. highlight:: python"),
        ("x.rst", "This runs::\n\n   x = 1"),
        ("x.rst", "Words\n\n::\n\n   x = 1"),
        ("x.rst", "* This ``runs``: ::\n\n     x = 1"),
        ("x.rst", ">>> x = 1"),
        ("x.rst", "* >>> 1 / 0"),
        ("x.rst", "* 1. >>>\n"),
        ("x.rst", ".. Code-Block:: python\n\n   x = 1"),
        ("x.rst", ".. CODE-BLOCK:: Python\n\n   x = 1"),
        ("x.rst", ".. code-block :: python\n\n   x = 1"),
        ("x.rst", "* .. code-block:: python\n\n     x = 1"),
        ("x.rst", "   * - .. code-block:: python\n\n          x = 1"),
        ("x.rst", ".. note:: This runs::\n\n      x = 1"),
        ("x.rst", ".. literalinclude:: own.py"),
        ("x.rst", ".. literalinclude:: own.py\n   :language: python"),
        ("x.rst", "* .. LiteralInclude:: own.txt\n     :language: python"),
        ("x.rst", ".. include:: own.py\n   :code: python"),
        ("x.rst", "* Here:\n\n  .. code:: python\n\n     x = 1"),
        ("x.md", "```py\nx = 1\n```"),
        ("x.md", "```Python\nx = 1\n```"),
        ("x.md", "``` python\nx = 1\n```"),
        ("x.md", "```\nx = 1\n```"),
        ("x.md", "~~~python\nx = 1\n~~~"),
        ("x.md", "* Here:\n  ```python\n  x = 1\n  ```"),
        ("x.md", "    x = 1"),
        ("x.md", ">>> x = 1"),
        ("x.md", "* >>> x = 1"),
        ("x.rst", ".. not run:\n\n.. code-block:: python\n\n   x = 1"),
        ("x.rst", ".. not run\n\n.. code-block:: python\n\n   x = 1"),
        ("x.md", "<!-- not run: -->\n```python\nx = 1\n```"),
        ("x.rst", ".. not run: it is slow\n\nWords\n\n.. code-block:: python\n\n   x = 1"),
        ("x.rst", ".. not run: it is slow\n\n.. code-block:: bash\n\n   x = 1"),
    ],
)
def test_what_would_be_missed_is_refused(name: str, shown: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}:\d+: "):
        pages.blocks(name, f"Words\n\n{shown}\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x.rst", ".. not run: needs a day\n\n.. code-block:: python\n\n   1 / 0"),
        ("x.md", "<!-- not run: needs a day -->\n```python\n1 / 0\n```"),
    ],
)
def test_a_mark_with_a_reason_is_heeded(name: str, shown: str, folder: Path) -> None:
    page = f"Words\n\n{shown}\n"
    (block,) = pages.blocks(name, page)
    assert block.reason == "needs a day"
    pages.run(folder / name, page, folder)


def test_the_classifier_of_scikit_learn_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    page = ROOT / "docs/guide/embeddings.rst"
    embeddings(folder)
    text = page.read_text(encoding="utf-8").replace(".. not run: scikit-learn", ".. It runs: this")
    pages.run(page, text, folder)
    assert capsys.readouterr().out == "accuracy: 1.00\n"
