# Gives the chores in this folder a Python environment of the checkout's own. Sourced by bash, not run:
#
#     source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
#     prepare_environment dev      # or another dependency group of pyproject.toml; without a name: the project alone
#     exec "$python" -m pytest
#
# Sets `root` (the checkout) and `python` (the environment's interpreter). The environment is .venv/ of the checkout. It is
# made anew when the interpreter, the place of the checkout or a requirement in pyproject.toml is another than before.
# Set-up excludes other set-ups and running chores: a lock on the checkout's directory, held as file descriptor 9, is
# exclusive during set-up and shared until the chore ends.
#
# PILOTDHT_PYTHON names the interpreter to build with; without it the newest that can is looked for on the PATH.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
python=$root/.venv/bin/python

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# Several Pythons can be on the PATH under one name, and version managers leave launchers there that only print an error.
can_build() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 </dev/null; }

find_interpreter() {
    local name candidate
    if [[ -n ${PILOTDHT_PYTHON:-} ]]; then
        can_build "$PILOTDHT_PYTHON" || fail "PILOTDHT_PYTHON=$PILOTDHT_PYTHON is not a Python >= 3.11 with venv and ensurepip"
        printf '%s\n' "$PILOTDHT_PYTHON"
        return
    fi
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        while IFS= read -r candidate; do
            if can_build "$candidate"; then
                printf '%s\n' "$candidate"
                return
            fi
        done < <(type -aP "$name")
    done
    fail "no Python >= 3.11 that can make virtual environments is on the PATH; install one, or name it in PILOTDHT_PYTHON"
}

# What the environment depends on, as one line of text. The same from the environment's own interpreter and from its base.
fingerprint() {
    "$1" -I - "$root" <<'PYTHON'
import hashlib, json, os, sys, tomllib

with open(os.path.join(sys.argv[1], "pyproject.toml"), "rb") as file:
    settings = tomllib.load(file)
requirements = [settings.get(table) for table in ("build-system", "project", "dependency-groups")]
facts = [sys.version, os.path.realpath(sys.base_prefix), sys.argv[1], requirements]
print(hashlib.sha256(json.dumps(facts).encode()).hexdigest())
PYTHON
}

is_ready() {
    local interpreter=${PILOTDHT_PYTHON:-$python}
    [[ -x $python && -f $stamp ]] && [[ $(fingerprint "$interpreter" 2>/dev/null) == "$(<"$stamp")" ]]
}

# lock shared|exclusive: on descriptor 9; flock belongs to the open file, so it outlives the process that asks for it.
lock() {
    "$any_interpreter" -I - "$1" <<'PYTHON' || fail "the checkout cannot be locked"
import fcntl, sys

kind = fcntl.LOCK_EX if sys.argv[1] == "exclusive" else fcntl.LOCK_SH
try:
    fcntl.flock(9, kind | fcntl.LOCK_NB)
except BlockingIOError:
    print("environment: waiting for another chore of this checkout to end", file=sys.stderr, flush=True)
    fcntl.flock(9, kind)
PYTHON
}

# install WHAT PIP-ARGUMENT...: one line of progress; pip's own words only when it fails.
install() {
    local output
    say "environment: $1"
    output=$("$python" -m pip --disable-pip-version-check --no-input install --quiet "${@:2}" 2>&1 9<&- </dev/null) && return
    say "$output"
    fail "pip could not install: $1 (its words are above); check the network and run this again"
}

build() {
    local base group=$1 wanted
    base=$(find_interpreter) || exit 1
    wanted=$(fingerprint "$base") || fail "pyproject.toml cannot be read"
    if [[ ! -x $python || ! -f $root/.venv/fingerprint || $(<"$root/.venv/fingerprint") != "$wanted" ]]; then
        say "environment: making .venv with $("$base" -c 'import platform; print("Python", platform.python_version())')"
        "$base" -m venv --clear "$root/.venv" 9<&- || fail "$base cannot make a virtual environment"
        install "a pip that knows dependency groups" 'pip>=25.1'
        printf '%s\n' "$wanted" >"$root/.venv/fingerprint"
    fi
    if [[ -n $group ]]; then
        install "the project with what '$group' needs" --editable "$root" --group "$root/pyproject.toml:$group"
    else
        install "the project" --editable "$root"
    fi
    printf '%s\n' "$wanted" >"$stamp"
}

prepare_environment() {
    local stamp=$root/.venv/ready-${1:-project} any_interpreter=$python
    unset PYTHONHOME PYTHONPATH VIRTUAL_ENV PIP_REQUIRE_VIRTUALENV PIP_TARGET PIP_PREFIX PIP_USER
    can_build "$any_interpreter" || any_interpreter=$(find_interpreter) || exit 1
    exec 9<"$root"
    lock shared
    if ! is_ready; then
        lock exclusive
        is_ready || build "${1:-}"
        lock shared
    fi
}
