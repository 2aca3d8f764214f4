"""What analysts read about the star: every table and column in both languages, the grain first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

MARTS = Path(__file__).resolve().parents[2] / "dbt_project" / "models" / "marts"
MODELS: dict[str, dict[str, Any]] = {
    model["name"]: model
    for path in sorted(MARTS.glob("*.yml"))
    for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", [])
}


def test_every_model_is_described() -> None:
    assert len(MODELS) > 20
    assert sorted(MODELS) == sorted(path.stem for path in MARTS.glob("*.sql"))


@pytest.mark.parametrize("name", MODELS)
def test_in_english_then_german(name: str) -> None:
    model = MODELS[name]
    described = {name: model["description"], **{c["name"]: c.get("description", "") for c in model["columns"]}}
    for what, text in described.items():
        english, bar, german = text.partition(" | ")
        assert bar and " | " not in german, f"{name}.{what}: must be 'English. | Deutsch.', found {text!r}"
        for sentence in (english, german):
            assert re.fullmatch(r"\S.*[.]", sentence.strip(), re.DOTALL), f"{name}.{what}: no sentence: {sentence!r}"
    assert model["description"].startswith("One row per "), f"{name}: opens with its grain"
    assert " | Eine Zeile je " in model["description"], f"{name}: opens with its grain in German too"
