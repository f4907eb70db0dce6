#!/usr/bin/env bash
# Run Poetry: the one on PATH as it is, or else a private one in .tools/poetry, which
# resolves through the package index that pip is configured for.
set -euo pipefail

python=${PYTHON:-python3}
poetry=poetry

if ! poetry --version >/dev/null 2>&1; then
    home=.tools/poetry
    if [ ! -e "$home/.complete" ]; then
        rm -rf "$home"
        "$python" -m venv "$home"
        "$home/bin/python" -m pip install --quiet \
            "poetry>=2.2,<3" "poetry-plugin-pypi-mirror<1"
        touch "$home/.complete"
    fi
    poetry=$home/bin/poetry
    # Poetry reads no pip settings. Many mirrors serve only the simple index, which
    # Poetry asks when it is told of a mirror.
    : "${POETRY_PYPI_MIRROR_URL:=$("$home/bin/python" -c \
        'from pip._internal.commands import create_command as command
print(command("install").parse_args([])[0].index_url)')}"
    export POETRY_PYPI_MIRROR_URL
fi

export POETRY_VIRTUALENVS_IN_PROJECT=true
if [ ! -d .venv ]; then
    "$poetry" env use "$python"
fi
exec "$poetry" "$@"
