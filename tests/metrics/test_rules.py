"""The tables of `docs/metrics.rst` are those of the rules; the library has the rule it names."""

import json
import math

import pytest

from tests.metrics.rules import RESULTS, TABLES, measured

PAIRS = {
    "ciou": {
        "ciou_median": "median, from it on (AVGN)",
        "ciou_adaptive": "size of the source, from it on",
    },
    "piap": {"source_precision": "the truth as truth, the map as scores"},
    "map": {"mean_average_precision": "classes with samples (VGGSounder)"},
    "sdr": {
        "separation_scores": "without silent estimates",
        "separation_scores, dropped mixtures": "without their mixtures (DeepAVFusion)",
    },
    "si_sdr": {"separation_scores, which also counts them": "without silent estimates"},
}


def test_the_page_shows_what_the_rules_give() -> None:
    """`python -m tests.metrics.rules` writes the file."""
    assert json.loads(RESULTS.read_text(encoding="utf-8")) == measured()


@pytest.mark.parametrize(("name", "ours"), [(n, row) for n, rows in PAIRS.items() for row in rows])
def test_the_library_has_the_rule_it_names(name: str, ours: str) -> None:
    table = TABLES[name]()
    for case, value in table[ours].items():
        if not math.isnan(value):  # without a source or a sample, the library has no score
            assert value == pytest.approx(table[PAIRS[name][ours]][case])
