# What a share, or a broker, has left behind; sourced by lib.sh.
#
# residue_mark notes what an idle system looks like; residue_check compares. Both look at the rule
# set, conntrack, processes and children, mounts (ours and cdssd's), loop devices, directories,
# ports, cgroups, rows of the registry, and cdssd's descriptors and memory.
# shellcheck shell=bash disable=SC2154

residue_memory_kb=8192 # how much more cdssd may hold after some shares than before the first

residue_rules() { server nft -s list ruleset 2>&1; }
# Network namespaces that anybody on this machine names come and go with them, in every namespace.
residue_mounts() { grep -v ' - nsfs ' /proc/self/mountinfo | cut -d' ' -f4- | sort; }
residue_broker() { # what cdssd holds, one thing a line
    [ -n "$broker_pid" ] || return 0
    find "/proc/$broker_pid/fd" -type l | wc -l
    grep -vc ' - nsfs ' "/proc/$broker_pid/mountinfo"
    tr ' ' '\n' <"/proc/$broker_pid/task/$broker_pid/children" | grep -c .
    awk '/^VmRSS/ { print $2 }' "/proc/$broker_pid/status"
}

# Call it while nothing is shared: after the network is there, and again after each broker_start.
residue_mark() {
    residue_rules >"$environment_dir/idle.rules"
    residue_mounts >"$environment_dir/idle.mounts"
    residue_broker >"$environment_dir/idle.broker"
}

residue_compare_broker() {
    local now idle name i=0
    [ -n "$broker_pid" ] || return 0
    mapfile -t idle <"$environment_dir/idle.broker"
    mapfile -t now < <(residue_broker)
    [ "${#idle[@]}" = 4 ] || return 0
    for name in descriptors "mounts in its namespace" children; do
        [ "${now[i]}" = "${idle[i]}" ] || echo "cdssd has ${now[i]} $name, had ${idle[i]}"
        i=$((i + 1))
    done
    [ "$sanitized" = yes ] || [ "${now[3]}" -le $((idle[3] + residue_memory_kb)) ] ||
        echo "cdssd holds ${now[3]} kB, held ${idle[3]}"
}

residue_rows() {
    local file=${setting[broker.state]}/registry.sqlite
    [ -f "$file" ] || return 0
    sqlite3 -readonly -cmd '.timeout 1000' "$file" "$residue_query" 2>&1
}
residue_query="SELECT 'row not ended: ' || id || ' ' || user FROM shares WHERE ended IS NULL"

residue_list() {
    residue_rules | diff "$environment_dir/idle.rules" - | sed -n 's/^[<>]/rules &/p'
    residue_mounts | diff "$environment_dir/idle.mounts" - | sed -n 's/^[<>]/mount &/p'
    server conntrack -L --mark "$((mark_prefix << 24))/0xff000000" 2>/dev/null | sed 's/^/conntrack /'
    local pid
    for pid in $(share_processes); do
        echo "process $pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
    done
    residue_compare_broker
    loop_devices | sed 's/^/loop device /'
    find "${setting[repository.shares]}" "$environment_dir/run/shares" -mindepth 1 -maxdepth 1 \
        2>/dev/null | sed 's/^/directory /'
    server ss -Hlntu 'sport >= 21000 && sport <= 31999' | sed 's/^/port /'
    find "${environment_cgroups[@]}" -mindepth 2 -type d 2>/dev/null | sed 's/^/cgroup /'
    residue_rows
}

residue_none() {
    residue_list >"$environment_dir/residue"
    [ ! -s "$environment_dir/residue" ]
}

# Ends need a moment (a process to die, a namespace to go): 3 s and no more.
residue_check() { # NAME
    if wait_for 3 residue_none; then
        ok "$1"
    else
        head -n 20 "$environment_dir/residue" | cut -c1-200 | sed 's/^/# left: /'
        not_ok "$1"
    fi
}

# The same after cdssd itself has ended: not even the table is left.
residue_check_stopped() { # NAME
    if ! wait_for 3 residue_none_stopped; then
        head -n 20 "$environment_dir/residue" | cut -c1-200 | sed 's/^/# left: /'
        not_ok "$1"
    else
        ok "$1"
    fi
}

residue_none_stopped() {
    {
        cp "$environment_dir/start.rules" "$environment_dir/idle.rules"
        residue_list
        find "$environment_dir/run" -mindepth 1 ! -path "$environment_dir/run/shares" |
            sed 's/^/in the run directory: /'
        # Its own leaf it cannot remove: it is in it.
        find "${environment_cgroups[@]}" -mindepth 1 -type d ! -name cdss-broker 2>/dev/null |
            sed 's/^/cgroup /'
        for pid in $(cgroups_processes); do
            echo "process $pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
        done
    } >"$environment_dir/residue"
    [ ! -s "$environment_dir/residue" ]
}
