"""Changes each answer that affects files, in every combination of the others.

`make test` tries a sample of these. Each updated project must equal a new project with the
same answers; differences are printed, and are failures.
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from typing import Any

from support import ROOT, combinations, differences_after_update, git, label


def main() -> int:
    """Try all pairs; return the exit code."""
    pairs = [
        (before, after)
        for before, after in permutations(combinations(), 2)
        if sum(before[key] != after[key] for key in before) == 1
    ]
    with tempfile.TemporaryDirectory(prefix="mvc-pairs-") as name, ThreadPoolExecutor(2) as pool:
        template = Path(name, "template")
        git("clone", "--quiet", str(ROOT), str(template), cwd=ROOT)

        def differences(number: int, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
            folder = Path(name, str(number))
            folder.mkdir()
            return differences_after_update(template, folder, before, after)

        results = pool.map(differences, range(len(pairs)), *zip(*pairs, strict=True))
        found = [
            f"{label(before)} -> {label(after)}: {', '.join(paths)}"
            for (before, after), paths in zip(pairs, results, strict=True)
            if paths
        ]
    print(*found, f"{len(pairs)} pairs, {len(found)} with differences", sep="\n")
    return len(found) > 0


if __name__ == "__main__":
    sys.exit(main())
