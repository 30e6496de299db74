# A CDSS of its own in a network of its own, for tests and the demo; sourced, not run.
#
# Namespaces: "server" (10.77.0.1 and .2, fd77::1 and ::2), "client1" to "client3" (10.77.N.10,
# fd77::N:10) and, unless the bridge is inside the server, "switch" with the bridge that joins them.
# A namespace is held by a sleeping process and reached as /proc/PID/ns/net: nothing is mounted
# anywhere, and nothing outlives the process. Interfaces exist in those namespaces only.
#
# Everything else of one run is under one directory, in cgroups named after it, and under uids that
# no other run has, so that runs side by side never see each other's remains.
#
# The caller sets source_dir and build_dir (absolute) and gets what stands in the variables below.
# shellcheck shell=bash disable=SC2034,SC2154

declare -A ns_pid=()   # namespace -> pid of its holder
declare -A setting=()  # "section.key" -> value, for environment_configure
environment_dir=       # everything of this run
environment_cgroups=() # its cgroup in each hierarchy
broker_pid=            # of cdssd, empty when it is not running
broker_log=            # what the present cdssd has said
broker_starts=0
libexec_dir=           # of the programs that cdssd puts into sandboxes; empty: those of the build

# -- small things ----------------------------------------------------------------------------------

# Polls until the command succeeds; fails after SECONDS.
wait_for() { # SECONDS COMMAND...
    local until=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    while ! "$@"; do
        [ "${EPOCHREALTIME/./}" -lt "$until" ] || return 1
        sleep 0.05
    done
}

milliseconds() { echo $((${EPOCHREALTIME/./} / 1000)); }

# A zombie counts as gone: it is its parent's to collect.
is_gone() { # PID
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    line=${line##*) }
    [ "${line%% *}" = Z ]
}

# -- the network -----------------------------------------------------------------------------------

in_ns() { # NAMESPACE COMMAND...
    local name=$1
    shift
    nsenter --net="/proc/${ns_pid[$name]}/ns/net" -- "$@"
}
server() { in_ns server "$@"; }
client() { # NUMBER COMMAND...
    local name=client$1
    shift
    in_ns "$name" "$@"
}

# The same for a command in the background, so that $! is its pid: client_exec 1 curl ... &
client_exec() { exec nsenter --net="/proc/${ns_pid[client$1]}/ns/net" -- "${@:2}"; }
server_exec() { exec nsenter --net="/proc/${ns_pid[server]}/ns/net" -- "$@"; }

ns_is_own() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

ns_make() { # NAME
    # The hour is a bound for the case that nobody is left to end it.
    setsid setpriv --pdeathsig KILL unshare --net sleep 3600 </dev/null >/dev/null 2>&1 &
    ns_pid[$1]=$!
    wait_for 5 ns_is_own "$!" || return 1
    in_ns "$1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
        echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
        echo "4096 65536 262144" >/proc/sys/net/ipv4/tcp_rmem # no second of a download in a buffer
        ip link set lo up'
}

# Joins NAMESPACE's new eth0 to the bridge in SWITCH and gives it addresses.
net_plug() { # SWITCH PORT NAMESPACE ADDRESS...
    local switch=$1 port=$2 name=$3
    shift 3
    in_ns "$switch" ip link add "$port" type veth peer name eth0 netns "${ns_pid[$name]}" &&
        in_ns "$switch" ip link set "$port" master bridge0 up || return 1
    net_addresses "$name" eth0 "$@"
}

net_addresses() { # NAMESPACE DEVICE ADDRESS...
    local name=$1 device=$2 address
    shift 2
    {
        echo "link set $device up"
        for address; do
            case $address in
            *:*) echo "address add $address dev $device nodad" ;;
            *) echo "address add $address dev $device" ;;
            esac
        done
    } | in_ns "$name" ip -batch -
}

server_addresses=(10.77.0.1/16 10.77.0.2/16 fd77::1/64 fd77::2/64)
server4=10.77.0.1 server6=fd77::1
server4b=10.77.0.2 server6b=fd77::2
client4() { echo "10.77.$1.10"; }
client6() { echo "fd77::$1:10"; }

# "outside": the bridge is somewhere in the network. "inside": it is the server's own, and hands
# what crosses it to the firewall first, as on a host of virtual machines or containers.
net_make() { # outside|inside
    local n switch=switch
    ns_make server && ns_make client1 && ns_make client2 && ns_make client3 || return 1
    if [ "$1" = inside ]; then switch=server; else ns_make switch || return 1; fi
    in_ns "$switch" ip link add bridge0 type bridge && in_ns "$switch" ip link set bridge0 up ||
        return 1
    if [ "$1" = inside ]; then
        net_addresses server bridge0 "${server_addresses[@]}" || return 1
        in_ns server sh -c 'cd /proc/sys/net/bridge && echo 1 >bridge-nf-call-iptables &&
            echo 1 >bridge-nf-call-ip6tables' || return 1
    else
        net_plug switch port0 server "${server_addresses[@]}" || return 1
    fi
    for n in 1 2 3; do
        net_plug "$switch" "port$n" "client$n" "$(client4 "$n")/16" "$(client6 "$n")/64" || return 1
    done
}

# -- directories, configuration, cgroups -----------------------------------------------------------

# Above what systemd gives away, below 2^31: 4096 blocks of 4, the uid that checks passwords, and a
# distance. Two runs have the same only when their pids are 13107 apart.
environment_uids() { # PID of a script
    uid_first=$((1879048192 + $1 % 13107 * 20480))
    uid_last=$((uid_first + 16383))
}

environment_make() { # PREFIX
    environment_dir=$(mktemp -d "${TMPDIR:-/var/tmp}/$1.XXXXXX") || return 1
    chmod 755 "$environment_dir"
    mkdir "$environment_dir"/{images,state,run}
    # A range of uids that belongs to this run, and to nobody else of this machine.
    environment_uids $$
    mark_prefix=$((0x20 + $$ % 0x80))
    setting[repository.images]=$environment_dir/images
    setting[repository.shares]=$environment_dir/shares
    setting[broker.socket]=$environment_dir/run/broker.sock
    setting[broker.run]=$environment_dir/run
    setting[broker.state]=$environment_dir/state
    setting[broker.templates]=$source_dir/templates
    setting[network.mark_prefix]=$(printf '0x%02x' "$mark_prefix")
    setting[uids.first]=$uid_first
    config=$environment_dir/cdss.conf
    environment_configure
}

environment_configure() {
    local section name
    for section in repository broker network ports policy mount sandbox uids web; do
        echo "[$section]"
        for name in "${!setting[@]}"; do
            [ "${name%%.*}" = "$section" ] && echo "${name#*.}=${setting[$name]}"
        done
    done >"$config"
    return 0
}

# In the unified hierarchy a group with processes in it, as a login session's is, hands no controllers
# on: the nearest above it that does, if any.
cgroup_above() { # MOUNT GROUP
    local group=$2
    while [ "$group" != "$1" ] && ! grep -qsw memory "$group/cgroup.subtree_control"; do
        group=${group%/*}
    done
    if grep -qsw memory "$group/cgroup.subtree_control"; then echo "$group"; else echo "$2"; fi
}

# The broker makes its groups below its own: that one is made for it, so that it is alone there.
cgroups_make() {
    local controllers path mount type options directory
    while IFS=: read -r _ controllers path; do
        case $controllers in '' | memory | pids | cpu) ;; cpu,cpuacct) controllers=cpu ;; *) continue ;; esac
        while read -r _ mount type options _; do
            case $controllers/$type in
            /cgroup2) ;;
            memory/cgroup | pids/cgroup | cpu/cgroup) [[ ,$options, == *,$controllers,* ]] || continue ;;
            *) continue ;;
            esac
            directory=$(cgroup_above "$mount" "$mount${path%/}")/${environment_dir##*/}
            mkdir "$directory" 2>/dev/null && environment_cgroups+=("$directory")
            break
        done </proc/self/mounts
    done </proc/self/cgroup
    return 0
}

# Where a broker has handed controllers on, its leaf is the place for processes.
cgroups_enter() {
    local directory
    for directory in "${environment_cgroups[@]}"; do
        echo "$BASHPID" 2>/dev/null >"$directory/cgroup.procs" ||
            echo "$BASHPID" >"$directory/cdss-broker/cgroup.procs"
    done
}

cgroups_processes() {
    local directory
    for directory in "${environment_cgroups[@]}"; do
        find "$directory" -name cgroup.procs -exec cat {} + 2>/dev/null
    done | sort -un
}

# -- the broker ------------------------------------------------------------------------------------

broker_is_up() { grep -qE '[ "]broker\.ready\b' "$broker_log" || is_gone "$broker_pid"; }

# Starts cdssd in the server's namespace, under WRAPPER if one is given (which must exec).
broker_start() { # [WRAPPER...]
    broker_starts=$((broker_starts + 1))
    broker_log=$environment_dir/broker-$broker_starts.log
    : >"$broker_log"
    (
        cgroups_enter
        export CDSS_LIBEXEC=${libexec_dir:-$build_dir/servers}
        # Out of reach of a Ctrl-C that is meant for the script.
        exec setsid nsenter --net="/proc/${ns_pid[server]}/ns/net" -- "$@" \
            "$build_dir/broker/cdssd" -c "$config"
    ) </dev/null >>"$broker_log" 2>&1 &
    broker_pid=$!
    wait_for 15 broker_is_up && ! is_gone "$broker_pid"
}

# Leaves cdssd's exit status in broker_status.
broker_stop() {
    local pid=$broker_pid
    broker_status=
    [ -n "$pid" ] || return 0
    broker_pid=
    kill -TERM "$pid" 2>/dev/null
    wait_for 10 is_gone "$pid" || kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    broker_status=$?
}

broker_kill() {
    local pid=$broker_pid
    [ -n "$pid" ] || return 0
    broker_pid=
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    return 0
}

cdss() { server timeout 30 "$build_dir/broker/cdss" -c "$config" "$@"; }

# -- the end ---------------------------------------------------------------------------------------

# The pids of every process under the shares' uids of this run.
share_processes() {
    grep -H '^Uid:' /proc/[0-9]*/status 2>/dev/null |
        awk -F '[/:[:space:]]+' -v first="$uid_first" -v last="$uid_last" '$6 >= first && $6 <= last { print $3 }'
}

# The loop devices whose image is of this run.
loop_devices() {
    local file path
    for file in /sys/block/loop*/loop/backing_file; do
        { read -r path <"$file"; } 2>/dev/null || continue
        [[ $path == "$environment_dir"/* ]] && echo "${file%/loop/backing_file} $path"
    done
    return 0
}

# Everything that runs in the namespaces of this run, whoever started it.
ns_processes() {
    local name path ids=' '
    for name in "${!ns_pid[@]}"; do ids+="$(readlink "/proc/${ns_pid[$name]}/ns/net") "; done
    find /proc/[0-9]*/ns/net -maxdepth 0 -printf '%p %l\n' 2>/dev/null | while read -r path name; do
        [[ $ids == *" $name "* ]] && echo "${path//[!0-9]/}"
    done
    return 0
}

cgroups_remove() {
    local directory
    for directory in "${environment_cgroups[@]}"; do
        find "$directory" -depth -type d -exec rmdir {} + 2>/dev/null
        [ ! -d "$directory" ] || return 1
    done
}

# Takes everything down, in whatever state it is; safe to call twice. A broker that can end by
# itself does; the rest is killed by pid.
environment_remove() {
    local pid name path
    [ -n "$environment_dir" ] || return 0
    broker_stop
    for pid in $(cgroups_processes) $(share_processes) $(ns_processes); do kill -KILL "$pid" 2>/dev/null; done
    for name in "${!ns_pid[@]}"; do
        kill -KILL "${ns_pid[$name]}" 2>/dev/null
        wait "${ns_pid[$name]}" 2>/dev/null
    done
    ns_pid=()
    wait_for 3 cgroups_remove || echo "# a cgroup of this run could not be removed" >&2
    awk -v d="$environment_dir/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | tac |
        while read -r path; do umount -l "$(printf %b "$path")"; done
    loop_devices | while read -r path _; do losetup -d "/dev/${path##*/}" 2>/dev/null; done
    rm -rf --one-file-system "$environment_dir"
    environment_dir=
}
