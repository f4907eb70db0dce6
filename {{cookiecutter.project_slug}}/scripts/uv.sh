#!/usr/bin/env bash
# Run uv: the one on PATH as it is, or else a private one in .tools/uv, which resolves
# through the package index that pip is configured for.
set -euo pipefail

python=${PYTHON:-python3}
uv=uv

if ! uv --version >/dev/null 2>&1; then
    home=.tools/uv
    if [ ! -e "$home/.complete" ]; then
        rm -rf "$home"
        "$python" -m venv "$home"
        "$home/bin/python" -m pip install --quiet "uv>=0.8"
        touch "$home/.complete"
    fi
    uv=$home/bin/uv
    # uv reads no pip settings.
    : "${UV_DEFAULT_INDEX:=$("$home/bin/python" -c \
        'from pip._internal.commands import create_command as command
print(command("install").parse_args([])[0].index_url)')}"
    export UV_DEFAULT_INDEX
fi

export UV_PYTHON="$python"
exec "$uv" "$@"
