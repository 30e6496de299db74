#!/usr/bin/env bash
# Reads the sources with clang-format, clang-tidy, cppcheck, shellcheck and mandoc, and looks for
# calls that this code base does without. Prints "ok NAME" or "not ok NAME" for each, with what was
# found.
#
#   tests/lint.sh [CHECK...]       CHECK: layout calls release tidy cppcheck shell man units
#                                (default: all)
#
# clang-tidy needs a compile database: build/lint, made here (configured, and no more than the
# header with the version is built).
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.." || exit 1

folders=(common firewall servers broker cgi)
build=build/lint
scratch=$(mktemp -d) || exit 1
found=$scratch/found
trap 'rm -rf "$scratch"' EXIT
failed=0

# A tree that was unpacked from an archive has no history, but git can list it all the same.
if [ ! -e .git ]; then
    export GIT_DIR=$scratch/git GIT_WORK_TREE=$PWD
    git init --quiet || exit 1
fi

# Every file that git knows or would take: nothing of a build directory.
files() { # PATTERN...
    git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@" | sort -u |
        while read -r name; do
            if [ -f "$name" ]; then
                printf '%s\n' "$name"
            fi
        done
}

sources() {
    local folder
    for folder in "${folders[@]}"; do
        files "$folder/*.c"
    done
}

# The places are enough: clang-format -i mends them.
check_layout() {
    ! files '*.c' '*.h' | xargs -P2 -n16 clang-format --dry-run -Werror 2>&1 |
        grep -oE '^[^ ]+:[0-9]+:[0-9]+: error: .*' | cut -d: -f1,2 | sort -u | grep .
}

# What has a safer sibling. Comments count too: a name in prose is written without its bracket.
check_calls() {
    ! files '*.c' '*.h' |
        xargs grep -nE '\b(system|popen|sprintf|vsprintf|strcpy|strcat|atoi|atol|gets|access)\('
}

# What is packaged has no place at which a test can kill it: nothing of stopping_point.h is left of
# any source after the preprocessor of the release preset.
check_release() {
    local directory=$scratch/release
    cmake --preset release -B "$directory" >/dev/null &&
        cmake --build "$directory" --target version_header >/dev/null &&
        python3 - "$directory/compile_commands.json" <<'END'
import json, shlex, subprocess, sys
count = found = 0
for entry in json.load(open(sys.argv[1], encoding="utf-8")):
    if "STOPPING_POINT" not in open(entry["file"], encoding="utf-8").read():
        continue
    words = shlex.split(entry["command"])
    words = words[:words.index("-o")] + ["-E", "-P", entry["file"]]
    text = subprocess.run(words, cwd=entry["directory"], check=True, capture_output=True, text=True)
    count += 1
    if "stopping_point_" in text.stdout:
        print(entry["file"])
        found += 1
sys.exit(found > 0 or count == 0)
END
}

# Tests compare whole structs, byte by byte, and call the same function twice on purpose.
check_tidy() {
    local for_tests=-misc-redundant-expression,-bugprone-suspicious-memory-comparison
    for_tests+=,-cert-exp42-c,-cert-flp37-c
    cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug >/dev/null &&
        cmake --build "$build" --target version_header >/dev/null &&
        sources | xargs -P2 -n4 clang-tidy -p "$build" --quiet 2>/dev/null &&
        files 'tests/unit/*.c' |
        xargs -P2 -n4 clang-tidy -p "$build" --quiet --checks="$for_tests" 2>/dev/null
}

# memleak and its like do not see that a variable with a cleanup attribute frees itself; the
# leak checker of the sanitizer builds does. Lists in settings: the index is checked one line later.
# Its parser does not know a compound literal inside of ?:.
check_cppcheck() {
    sources | cppcheck --quiet -j2 --std=c11 --enable=warning,portability,performance \
        --inline-suppr --error-exitcode=1 --file-list=- -D_GNU_SOURCE \
        --suppress=missingIncludeSystem --suppress=memleak --suppress=resourceLeak \
        --suppress=arrayIndexOutOfBoundsCond --suppress=internalAstError \
        -Icommon -Ifirewall -Iservers -Ibroker
}

scripts() {
    files '*' | grep -v '^tests/fuzz/corpus/' | while read -r name; do
        if head -c 64 "$name" | head -n 1 | tr -d '\0' | grep -qE '^#!.*\b(ba|da)?sh\b'; then
            printf '%s\n' "$name"
        fi
    done
}

check_shell() {
    { scripts && files 'packaging/bash/*'; } | xargs shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR
}

# The pages as they are installed: two of them are made when the build is configured here.
check_man() {
    cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug >/dev/null &&
        cmake --build "$build" --target manual >/dev/null &&
        mandoc -T lint -W warning docs/man/*.[1-8] "$build"/docs/man/*.[1-8]
}

# What stands twice because no program reads it here: capabilities, the version.
check_units() {
    local caps=packaging/systemd/cdssd.service
    diff <(grep -oE '\bCAP_[A-Z_]+' broker/daemon_process.c | sort -u) \
        <(sed -n 's/^CapabilityBoundingSet=//p' "$caps" | tr ' ' '\n' | sort -u) &&
        diff <(sed -nE 's/^project\(cdss VERSION ([0-9.]+).*/\1/p' CMakeLists.txt) \
            <(sed -nE '1s/.*\((.*)\).*/\1/p' debian/changelog)
}

declare -A tool=([layout]=clang-format [tidy]=clang-tidy [cppcheck]=cppcheck [shell]=shellcheck
    [man]=mandoc)

run() { # CHECK
    if ! command -v "${tool[$1]:-grep}" >/dev/null; then
        echo "skip $1 - ${tool[$1]} is not installed (tests/packages.sh lint)"
    elif ! declare -F "check_$1" >/dev/null; then
        echo "not ok $1 (there is no such check)"
        failed=1
    elif "check_$1" >"$found" 2>&1; then
        echo "ok $1"
    else
        sed 's/^/# /' "$found"
        echo "not ok $1"
        failed=1
    fi
}

[ $# -gt 0 ] || set -- layout calls release tidy cppcheck shell man units
for check; do
    run "$check"
done
exit "$failed"
