"""Tables of hyper-parameters: values from the recipes, deviations from the paper marked."""

import re
from importlib import import_module
from pathlib import Path

import presets
import pytest
from built import built

PAGE = Path(__file__).parents[2] / "docs" / "hyperparameters.rst"
TABLES = re.findall(
    r"^\.\. presets:: (\S+) (.+)\n((?:(?:   .*)?\n)*)", PAGE.read_text(encoding="utf-8"), re.M
)
SMALL = """
Page
====

.. presets:: paper_pretrain vggsound scenes
   :published: paper

   epochs: 200
   base-lr: 1.5e-4
   model.normalize-targets: yes
   run.clip-grad:
"""


def test_a_table_has_the_values_of_the_presets_and_marks_others(tmp_path: Path) -> None:
    (tmp_path / "index.rst").write_text(SMALL)
    out = built(tmp_path, tmp_path / "out", "pseudoxml", extension="presets")
    shown = (out / "index.pseudoxml").read_text(encoding="utf-8")
    rows = [
        [" ".join(re.sub(r"<(?!strong>).*?>", "", cell).split()) for cell in row.split("<entry>")]
        for row in shown.split("<row>")[1:]
    ]
    assert [row[1:] for row in rows] == [
        ["option", "paper", "vggsound", "scenes"],
        ["--epochs", "200", "200", "<strong> ≠ 100"],
        ["--base-lr", "0.00015", "0.00015", "<strong> ≠ 0.008"],
        ["--model.normalize-targets", "yes", "yes", "<strong> ≠ no"],
        ["--run.clip-grad", "", "none", "none"],
    ]
    assert presets.text((16, 8, 8)) == presets.plain("16, 8,8") == "16, 8, 8"


@pytest.mark.parametrize(("recipe", "names", "body"), TABLES, ids=[t[0] for t in TABLES])
def test_the_first_preset_of_a_table_is_as_published(recipe: str, names: str, body: str) -> None:
    config = import_module(f"recipes.{recipe}").PRESETS[names.split()[0]][1]
    rows = re.findall(r"^   ([a-z][\w.-]*): *(.*)$", body, re.M)
    assert rows
    other = {
        option: presets.value_of(config, option)
        for option, published in rows
        if published and presets.value_of(config, option) != presets.plain(published)
    }
    assert other == {}


def test_every_recipe_of_the_paper_has_a_table() -> None:
    recipes = Path(__file__).parents[2].glob("recipes/paper_*.py")
    assert {name for name, _, _ in TABLES} == {p.stem for p in recipes} - {"paper_finetune_lora"}
