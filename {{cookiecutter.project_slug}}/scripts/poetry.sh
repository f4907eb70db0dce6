#!/usr/bin/env bash
# Run Poetry: the one on PATH, unchanged, or else a private one in .tools/poetry, which uses
# the package index that pip is configured for.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
. "$(dirname "$0")/environment.sh"

check_python
find_tool poetry 2.2 "poetry>=2.2,<3" "poetry-plugin-pypi-mirror<1"
if [ "$tool" != poetry ]; then
    # Many mirrors serve only the simple index, which Poetry uses only for a mirror.
    : "${POETRY_PYPI_MIRROR_URL:=$(index poetry)}"
    export POETRY_PYPI_MIRROR_URL
fi

# Override the user's settings: without an environment, Poetry would remove packages that
# the project does not need from the interpreter itself.
export POETRY_VIRTUALENVS_CREATE=true POETRY_VIRTUALENVS_IN_PROJECT=true
if [ ! -d .venv ]; then
    "$tool" env use "$python"
fi
exec "$tool" "$@"
