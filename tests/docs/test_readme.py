"""Measured values of the README: those of `docs/results`, as the pages show them."""

import re
from pathlib import Path

import pytest
from measured import lookup, text

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
FIGURES = {
    "paper_pretrain": (
        "1-NN accuracy of the fusion tokens {pretraining.json nn_fusion_last}%; untrained "
        "{pretraining.json nn_fusion_first}%"
    ),
    "paper_linear_probe": (
        "accuracy {classification.json linear_probe pretrained}%; untrained encoder "
        "{classification.json linear_probe untrained}%; image only "
        "{classification.json linear_probe image_only}%; audio only "
        "{classification.json linear_probe audio_only}%"
    ),
    "paper_finetune": (
        "accuracy {classification.json finetune pretrained}%; from scratch "
        "{classification.json finetune scratch}%"
    ),
    "paper_localize": (
        "cIoU success {localization.json ciou_adaptive}%; center box "
        "{localization.json center_box}%; mismatched audio {localization.json mismatched_audio}%; "
        "silence {localization.json silenced}%"
    ),
    "paper_separate": (
        "SDR improvement {separation.json sdr_improvement_db} dB over the mixture; "
        "{separation.json mismatched_image} dB with the mismatched image"
    ),
    "paper_segment": (
        "mIoU without background {segmentation.json miou_no_background}; silence "
        "{segmentation.json silenced}"
    ),
    "tests.reliability.measure": (
        "{reliability.json kills_survived} of {reliability.json kills} kills survived, "
        "{reliability.json resume_bitwise identical} of {reliability.json resume_bitwise stops} "
        "stopped runs resumed bit for bit"
    ),
}
"""By the command of a row: its measured values, with file and keys of each."""
_VALUE = re.compile(r"\{([^}]*)\}")


def filled(phrase: str, results: Path = RESULTS) -> str:
    """Replace file and keys by the value."""

    def value(found: re.Match[str]) -> str:
        measured = lookup(results, found[1])
        assert measured is not None, f"no {found[1]} in {results}"
        return text(measured)

    return _VALUE.sub(value, phrase)


def rows(readme: str) -> list[tuple[str, str]]:
    """The command and the measured values of each row of the table of recipes."""
    table = readme.partition("| recipe | data |")[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return [(cell[0], cell[3] if len(cell) > 3 else "") for cell in cells]


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", FIGURES)
def test_a_row_shows_the_measured_values(command: str, readme: str) -> None:
    (shown,) = [cell for named, cell in rows(readme) if named == f"`python -m {prefixed(command)}`"]
    wanted = filled(FIGURES[command])
    assert shown.startswith(wanted), f"README.md: write in the row of {command}:\n{wanted}"


def prefixed(command: str) -> str:
    return command if command.startswith("tests.") else f"recipes.{command}"


def test_no_other_value_is_typed(readme: str) -> None:
    kept = readme
    for phrase in FIGURES.values():
        kept = kept.replace(filled(phrase), "")
    assert typed(kept) == []


def typed(markdown: str) -> list[str]:
    """Numbers with a unit of a score or a spread."""
    return re.findall(r"[\d.]+(?: ?±|%| dB| → )", markdown)


def test_typed_values_are_found() -> None:
    assert typed("59% and 4.9 ± 0.9 dB, loss 13.8 → 4, 3.0 dB") == [
        *("59%", "4.9 ±", "0.9 dB", "13.8 → ", "3.0 dB")
    ]
    assert typed("8 GPUs, 480 scenes, AudioSet-2M, torch 2.11") == []


def test_a_changed_value_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"sdr": [-6.04, -5.9], "kills": 20}')
    assert filled("{x.json sdr} dB, {x.json kills}", tmp_path) == "-6.0 ± 0.1 dB, 20"
    with pytest.raises(AssertionError, match=r"no x\.json sir"):
        filled("{x.json sir}", tmp_path)
