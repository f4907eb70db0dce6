"""A project that is updated to other answers equals one that is created with them."""

import random
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from support import QUESTIONS, differences_after_update, label

FLAGS = [key for key, default in QUESTIONS.items() if isinstance(default, bool)]
FULL: dict[str, Any] = {**dict.fromkeys(FLAGS, True), "package_manager": "poetry"}
EMPTY: dict[str, Any] = {**dict.fromkeys(FLAGS, False), "package_manager": "poetry"}


def pairs() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return answers before and after: single features, a random sample, and other answers."""
    single = [(FULL, {**FULL, flag: False}) for flag in FLAGS]
    single += [(EMPTY, {**EMPTY, flag: True}) for flag in FLAGS]
    sets = [
        {**FULL, **{flag: bool(number >> place & 1) for place, flag in enumerate(FLAGS)}}
        for number in range(2 ** len(FLAGS))
    ]
    everything = list(permutations(sets, 2))
    drawn = random.Random(3).sample(everything, min(8, len(everything)))
    managers = [{**FULL, "package_manager": name} for name in QUESTIONS["package_manager"]]
    names = [{**FULL, "package_name": name} for name in ("galactic_empire", "rebellion")]
    found = [*single, *drawn, *permutations(managers, 2), *permutations(names, 2)]
    return [pair for number, pair in enumerate(found) if pair not in found[:number]]


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), pairs(), ids=label)
def test_update_to_other_answers_equals_a_new_project(
    repository: Path, tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert differences_after_update(repository, tmp_path, before, after) == []
