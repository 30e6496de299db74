# What every benchmark needs; sourced by tests/bench/NAME.sh. The network, the broker and the look
# for what is left are those of the scenarios: tests/net/lib.sh.
# shellcheck shell=bash disable=SC2034,SC2154

bench_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../net/lib.sh
. "$bench_dir/../net/lib.sh"
export PATH=$PATH:/usr/sbin:/sbin
tools=$build_dir/tests/bench
packages=$source_dir/build/packages
[ "$sanitized" = no ] || { skip benchmarks "a build with sanitizers says nothing about time"; exit 0; }

# Here a result is a line of a table; what a scenario would call ok is not worth one.
ok() { :; }

# -- numbers ---------------------------------------------------------------------------------------

# Of the column of numbers on standard input: the median, the 10th and the 90th percentile.
percentiles() {
    sort -g | awk '{ v[NR] = $1 } END { if (NR == 0) exit 1
        printf "%s %s %s\n", v[int((NR + 1) / 2)], v[int(NR / 10) + 1], v[int(NR * 9 / 10 + 0.999)] }'
}

median() { percentiles | cut -d' ' -f1; }

# A row of the table: what was measured, its median with the 10th and 90th percentile.
row() { # WHAT UNIT FILE [DIVISOR]
    percentiles <"$3" | awk -v what="$1" -v unit="$2" -v by="${4:-1}" '{
        printf "| %-58s | %9.3g %-4s | %.3g to %.3g |\n", what, $1 / by, unit, $2 / by, $3 / by }'
}

# The ratio of two medians against a goal: "at most 2.5" or "at least 10".
goal() { # WHAT FILE FILE most|least GOAL
    goal_is "$1" "$(median <"$2")" "$(median <"$3")" "$4" "$5"
}

goal_is() { # WHAT NUMBER NUMBER most|least GOAL
    awk -v what="$1" -v a="$2" -v b="$3" -v way="$4" -v goal="$5" 'BEGIN {
        ratio = a / b
        met = way == "most" ? ratio <= goal : ratio >= goal
        printf "| %-58s | %9.3g      | at %s %s: %s |\n", what, ratio, way, goal, met ? "met" : "MISSED" }'
}

table() { # TITLE
    printf '\n%s\n\n| %-58s | %14s | 10th to 90th percentile, or goal |\n|%s|%s|%s|\n' "$1" what median \
        --- ---: ---
}

# -- things to share -------------------------------------------------------------------------------

bench_images() { # some squashfs images, as large as a test may make them
    local n
    for n in 1 2 3; do
        mksquashfs /usr/share/common-licenses "$net_dir" "${setting[repository.images]}/tools-$n.squashfs" \
            -quiet -no-progress >/dev/null 2>&1 || { not_ok "an image"; exit 1; }
    done
}

# cdss without a limit of time around it, for use in a client's namespace too.
cdss_command=("$build_dir/broker/cdss" -c)

# What is only compared with: unpacked below build/packages (tests/packages.sh bench), or installed.
packaged() { # PACKAGE PATH: prints where it is
    if [ -e "$packages/$1$2" ]; then
        echo "$packages/$1$2"
    elif [ -e "$2" ]; then
        echo "$2"
    else
        return 1
    fi
}

missing() { # WHAT PACKAGE
    printf '| %-58s | %14s | not measured: tests/packages.sh bench unpacks %s |\n' "$1" - "$2"
}
