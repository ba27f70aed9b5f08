"""CITATION.cff: of this version, with the paper."""

from pathlib import Path

import yaml

import avblocks

ROOT = Path(__file__).parents[2]


def test_it_cites_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["title"]
    assert citation["authors"] == [{"name": "the avblocks authors"}]
    assert citation["version"] == avblocks.__version__
    assert citation["license"] == "Apache-2.0"
    (paper,) = citation["references"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"title={{{paper['title']}}}" in readme and f"year={{{paper['year']}}}" in readme
    names = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert f"author={{{' and '.join(names)}}}" in readme


def test_the_changelog_and_the_package_have_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, second = [line for line in changelog.splitlines() if line.startswith("## ")][:2]
    assert first == "## [Unreleased]" and second.startswith(f"## [{avblocks.__version__}] - 20")
    assert f'\nversion = "{avblocks.__version__}"\n' in (ROOT / "pyproject.toml").read_text()
