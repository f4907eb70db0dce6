# shellcheck shell=bash
# Shared by poetry.sh and uv.sh: check the interpreter, and install a tool missing on PATH.

python=${PYTHON:-python3}

fail() {
    echo "$1" >&2
    exit 1
}

# is_older VERSION OTHER
is_older() {
    "$python" -c 'import sys
one, other = ([int(part) for part in text.split(".")[:2]] for text in sys.argv[1:])
sys.exit(one >= other)' "$1" "$2"
}

check_python() {
    local found needed
    found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
        fail "Python was not found: \`$python\`. Choose one, as in: make install PYTHON=python3.13"
    needed=$(sed -n 's/^requires-python = [^0-9]*\([0-9.]*\).*/\1/p' pyproject.toml)
    if [ -n "$needed" ] && is_older "$found" "$needed"; then
        fail "The project needs Python $needed or newer, but \`$python\` is $found. Choose another one, as in: make install PYTHON=python3.13"
    fi
}

# find_tool TOOL VERSION PACKAGE...: set `tool` to the one on PATH, or to a private one.
find_tool() {
    local name=$1 needed=$2 found
    shift 2
    if ! found=$("$name" --version 2>/dev/null); then
        install_tool "$name" "$@"
        tool=.tools/$name/bin/$name
        return
    fi
    found=$(sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p' <<<"$found")
    if [ -n "$found" ] && is_older "$found" "$needed"; then
        fail "The project needs $name $needed or newer, but the one on PATH is $found. Upgrade it, or remove it from PATH: the project then installs its own."
    fi
    tool=$name
}

# install_tool TOOL PACKAGE...: install a tool into .tools/TOOL, unless it exists.
install_tool() {
    local tool=$1 home=.tools/$1
    shift
    [ ! -e "$home/.complete" ] || return 0
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "\`$python\` cannot create virtual environments. Install its module venv (on Debian: apt install python3-venv), or $tool."
    rm -rf "$home"
    "$python" -m venv "$home"
    # Into this folder, whatever the user's pip settings say.
    "$home/bin/python" -m pip install --quiet --no-user --target= --prefix "$PWD/$home" --root / "$@"
    touch "$home/.complete"
}

# index TOOL: print the package index that pip is configured for, which the tools ignore.
index() {
    ".tools/$1/bin/python" -c \
        'from pip._internal.commands import create_command as command
print(command("install").parse_args([])[0].index_url)'
}
