#!/usr/bin/env python3
"""Check the Helm chart: lint it, render it, validate each object against its schema.

The chart is rendered with its default values, and with each file in ci/ on top.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = next(ROOT.glob("charts/*/Chart.yaml")).parent


def main() -> int:
    """Check the chart; return the exit code."""
    if not shutil.which("helm"):
        sys.exit("Not found: helm. See docs/deployment/kubernetes.md.")
    refused = False
    for file in [None, *sorted(CHART.glob("ci/*-values.yaml"))]:
        values = ["--values", str(file)] if file else []
        helm("lint", "--strict", "--quiet", str(CHART), *values)
        rendered = helm("template", CHART.name, str(CHART), *values)
        for resource in filter(None, yaml.safe_load_all(rendered)):
            name = f"{resource['kind']}/{resource['metadata']['name']}"
            try:
                kubernetes_validate.validate(resource, "1.37", strict=True)
                verdict = "valid"
            except kubernetes_validate.SchemaNotFoundError:
                verdict = "a custom resource, not validated"
            except kubernetes_validate.ValidationError as error:
                verdict = f"INVALID: {error}"
                refused = True
            print(f"{file.name if file else 'values.yaml'}: {name}: {verdict}")
    return int(refused)


def helm(*words: str) -> str:
    """Run Helm and return its output; exit if it fails."""
    done = subprocess.run(["helm", *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stdout.strip() or 1)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
