#!/usr/bin/env bash
# Run uv: the one on PATH, unchanged, or else a private one in .tools/uv, which uses the
# package index that pip is configured for.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
. "$(dirname "$0")/environment.sh"

check_python
find_tool uv 0.8 "uv>=0.8"
if [ "$tool" != uv ]; then
    : "${UV_DEFAULT_INDEX:=$(index uv)}"
    export UV_DEFAULT_INDEX
fi

# Override the user's settings: the environment is .venv, with the project and the
# development tools.
export UV_PYTHON="$python" UV_PROJECT_ENVIRONMENT=.venv
unset UV_DEV UV_ISOLATED UV_MANAGED_PYTHON UV_PROJECT UV_PYTHON_PREFERENCE UV_SYSTEM_PYTHON \
    "${!UV_NO_DE@}" "${!UV_NO_EDITABLE@}" "${!UV_NO_GROUP@}" "${!UV_NO_INSTALL_@}" \
    "${!UV_NO_PROJECT@}" "${!UV_NO_SYNC@}" "${!UV_ONLY_INSTALL_@}" "${!UV_WORKING_DIR@}"
exec "$tool" "$@"
