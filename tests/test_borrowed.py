"""What the command has of its own, because loading the original takes long, does the same."""

import pytest
from cookiecutter.config import BUILTIN_ABBREVIATIONS
from cookiecutter.repository import expand_abbreviations
from mvc import engine


@pytest.mark.parametrize("template", [*(f"{key}:org/x" for key in BUILTIN_ABBREVIATIONS), "a:b"])
def test_abbreviations_are_those_of_cookiecutter(template: str) -> None:
    assert engine.expand(template) == expand_abbreviations(template, BUILTIN_ABBREVIATIONS)
