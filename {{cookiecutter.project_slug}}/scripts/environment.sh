# shellcheck shell=bash
# What poetry.sh and uv.sh share: the interpreter, and a private tool where PATH has none.

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
        fail "Python was not found as \`$python\`. Name one, as in: make install PYTHON=python3.13"
    needed=$(sed -n 's/^requires-python = [^0-9]*\([0-9.]*\).*/\1/p' pyproject.toml)
    if [ -n "$needed" ] && is_older "$found" "$needed"; then
        fail "The project needs Python $needed, and \`$python\` is $found. Name another one, as in: make install PYTHON=python3.13"
    fi
}

# find_tool TOOL VERSION PACKAGE...: set `tool` to the one on PATH, or to a private one.
find_tool() {
    local name=$1 needed=$2 found
    shift 2
    if ! found=$("$name" --version 2>/dev/null); then
        bring "$name" "$@"
        tool=.tools/$name/bin/$name
        return
    fi
    found=$(sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p' <<<"$found")
    if [ -n "$found" ] && is_older "$found" "$needed"; then
        fail "The project needs $name $needed, and the one on PATH is $found. Upgrade it, or take it off PATH: the project then brings its own."
    fi
    tool=$name
}

# bring TOOL PACKAGE...: install a tool into .tools/TOOL, unless it is there.
bring() {
    local tool=$1 home=.tools/$1
    shift
    [ ! -e "$home/.complete" ] || return 0
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "\`$python\` cannot make virtual environments. Install its module venv (on Debian: apt install python3-venv), or $tool."
    rm -rf "$home"
    "$python" -m venv "$home"
    # Here, wherever the user's settings of pip lead.
    "$home/bin/python" -m pip install --quiet --no-user --target= --prefix "$PWD/$home" --root / "$@"
    touch "$home/.complete"
}

# index TOOL: print the package index that pip is configured for; the tools ask no pip.
index() {
    ".tools/$1/bin/python" -c \
        'from pip._internal.commands import create_command as command
print(command("install").parse_args([])[0].index_url)'
}
