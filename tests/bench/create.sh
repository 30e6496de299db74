#!/usr/bin/env bash
# From `cdss share create` to the first byte that a client has over HTTP, in turns with what it cannot
# cost less than, with the manner of 2003, and with a container per share; and the 300th share beside
# the first.
# shellcheck source=lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
rounds=${BENCH_ROUNDS:-25}
others=299
last=15 # rounds of the 300th

begin
bench_images
images=${setting[repository.images]}
start
client_ns=/proc/${ns_pid[client1]}/ns/net
results=$environment_dir/results
mkdir "$results"

first_byte() { # NAMESPACE ADDRESS COMMAND...
    in_ns client1 "$tools/bench_first_byte" "/proc/${ns_pid[$1]}/ns/net" "$2" 8080 / "${@:3}"
}
measured() { # RESULT NAMESPACE ADDRESS COMMAND...
    local ended all
    read -r ended all < <(first_byte "${@:2}") || return 1
    echo "$ended" >>"$results/$1.ended"
    echo "$all" >>"$results/$1"
}

# The server of all: modules and directory as in a share.
stock_configuration() { # LINE...
    printf '%s\n' 'server.modules = ( "mod_setenv", "mod_dirlisting", "mod_staticfile" )' \
        'server.compat-module-load = "disable"' 'dir-listing.activate = "enable"' "$@"
}

# -- the floor: in the network of client 2, which no broker is in ----------------------------------

floor_begin() {
    stock_configuration 'server.systemd-socket-activation = "enable"' 'server.port = 8080' \
        "server.document-root = \"$images\"" >"$environment_dir/floor.conf"
    coproc FLOOR { in_ns client2 "$tools/bench_floor" "$client_ns" "$(client4 2)" \
        "$environment_dir" "$environment_dir/floor.conf" 2>>"$environment_dir/err"; }
}

floor_round() { # RESULT
    local commit transaction all
    echo go >&"${FLOOR[1]}"
    read -r commit transaction all <&"${FLOOR[0]}" || return 1
    echo "$commit" >>"$results/commit"
    echo "$transaction" >>"$results/transaction"
    echo "$all" >>"$results/$1"
}

# -- cdss ------------------------------------------------------------------------------------------

cdss_round() { # RESULT ARGUMENT...
    measured "$1" server "$server4" "${cdss_command[@]}" "$config" share create alice \
        --client "$(client4 1)" --for 10m --protocol http "${@:2}" || return 1
    cdss share remove alice >/dev/null
}

# -- 2003: in the network of client 3 --------------------------------------------------------------

old_begin() {
    local program
    program=$(packaged iptables /usr/sbin/xtables-nft-multi) || return 1
    export IPTABLES="$program iptables"
    XTABLES_LIBDIR=$(packaged iptables /usr/lib/x86_64-linux-gnu/xtables)
    export XTABLES_LIBDIR
    stock_configuration 'server.port = @PORT@' 'server.document-root = "@TREE@"' \
        'server.pid-file = "@PID@"' >"$environment_dir/stock.conf"
}

old_round() { # RESULT IMAGES CLIENTS
    measured "$1" client3 "$(client4 3)" "$bench_dir/manner_of_2003.sh" add alice 21001 \
        "$environment_dir" "$2" "$3" || return 1
    in_ns client3 "$bench_dir/manner_of_2003.sh" remove alice 21001 "$environment_dir"
}

# -- a container: in a network of its own namespace, which it does not have to make ----------------

container_begin() {
    runc=$(packaged runc /usr/sbin/runc) || return 1
    ns_make container && net_plug switch port9 container 10.77.9.10/16 || return 1
    bundle=$environment_dir/bundle
    mkdir -p "$bundle"/rootfs/{usr,etc,proc,dev,sys,srv,var/log,var/tmp}
    ln -s usr/lib "$bundle/rootfs/lib"
    ln -s usr/lib64 "$bundle/rootfs/lib64"
    stock_configuration 'server.port = 8080' 'server.document-root = "/srv"' \
        'server.errorlog = "/dev/null"' \
        >"$bundle/rootfs/etc/lighttpd.conf"
    (cd "$bundle" && "$runc" spec) || return 1
    python3 - "$bundle/config.json" "$images" "${environment_dir##*/}" <<'END'
import json, sys
path, images, name = sys.argv[1:]
with open(path) as file:
    config = json.load(file)
config["process"].update(terminal=False, args=["/usr/sbin/lighttpd", "-D", "-f", "/etc/lighttpd.conf"])
config["process"]["rlimits"] = []
config["root"]["readonly"] = True
config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/sys/fs/cgroup"]
for source, destination in (("/usr", "/usr"), (images, "/srv")):
    config["mounts"].append({"destination": destination, "source": source, "type": "bind",
                             "options": ["bind", "ro"]})
config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]
config["linux"]["cgroupsPath"] = "/" + name + "/container"
with open(path, "w") as file:
    json.dump(config, file)
END
}

container_round() {
    measured container container 10.77.9.10 "$runc" --root "$environment_dir/runc" run --detach \
        --bundle "$bundle" share-alice || return 1
    in_ns container "$runc" --root "$environment_dir/runc" delete --force share-alice
}
# runc leaves the groups above its own, in every hierarchy; the broker's are not empty, and stay.
container_end() {
    "$runc" --root "$environment_dir/runc" delete --force share-alice 2>/dev/null
    local name=${environment_dir##*/}
    find /sys/fs/cgroup -depth -type d \( -path "*/$name" -o -path "*/$name/container" \) \
        -exec rmdir {} + 2>/dev/null
}

# -- measuring -------------------------------------------------------------------------------------

one=(--image tools-1.squashfs)
several=(--image tools-1.squashfs --image tools-2.squashfs --image tools-3.squashfs)
several_images="tools-1.squashfs,tools-2.squashfs,tools-3.squashfs"
several_clients=$(client4 1)
for ((i = 1; i < 8; i++)); do
    several+=(--client "10.77.50.$i")
    several_clients+=,10.77.50.$i
done

or_end() { # WHAT: after a round that failed
    cat "$environment_dir/err" 2>/dev/null
    not_ok "$1"
    container_end
    finish
}

floor_begin
old_begin || old=no
container_begin || container=no
for ((i = 0; i <= rounds; i++)); do
    floor_round floor || or_end "the floor"
    cdss_round one "${one[@]}" || or_end "cdss"
    [ "${old:-}" = no ] || old_round old tools-2.squashfs "$(client4 1)" || or_end "2003"
    # Where runc does not run at all (under a real-time scheduler, for one), the rest is measured.
    [ "${container:-}" = no ] || container_round 2>>"$environment_dir/err" || container=no
    cdss_round several "${several[@]}" || or_end "cdss"
    [ "${old:-}" = no ] || old_round old_several $several_images "$several_clients" || or_end "2003"
    [ "$i" != 0 ] || rm -f "$results"/* # the first round brings in programs and files
done

table "From nothing to the first byte over HTTP, $rounds rounds in turns"
row "of the floor: a durable commit" ms "$results/commit" 1000
row "of the floor: an nftables transaction" ms "$results/transaction" 1000
row "the floor" ms "$results/floor" 1000
row "cdss share create, 1 image, 1 client: answered" ms "$results/one.ended" 1000
row "cdss share create, 1 image, 1 client: first byte" ms "$results/one" 1000
row "cdss share create, 3 images, 8 clients: first byte" ms "$results/several" 1000
if [ "${old:-}" = no ]; then
    missing "the manner of 2003" iptables
else
    row "2003, 1 image, 1 client: first byte" ms "$results/old" 1000
    row "2003, 3 images, 8 clients: first byte" ms "$results/old_several" 1000
fi
if [ "${container:-}" = no ]; then
    missing "a container (runc), or it does not run here" runc
else
    row "a container (runc, no image, no rule): first byte" ms "$results/container" 1000
fi
goal "cdss against the floor" "$results/one" "$results/floor" most 2.5
if [ "${old:-}" != no ]; then
    goal "2003 against cdss, 1 image, 1 client" "$results/old" "$results/one" least 10
    goal "2003 against cdss, 3 images, 8 clients" "$results/old_several" "$results/several" least 10
fi
[ "${container:-}" = no ] || goal "a container against cdss" "$results/container" "$results/one" least 1

# The floor is measured beside both, so that a machine that has become busier meanwhile shows.
rm -f "$results"/*
for ((i = 0; i < last; i++)); do
    floor_round floor.first || or_end "the floor"
    cdss_round first "${one[@]}" || or_end "cdss"
done
server python3 "$net_dir/tools/load.py" "${setting[broker.socket]}" create other $others 8 \
    10.77.100.0 http tools-1.squashfs >/dev/null || or_end "the others"
for ((i = 0; i < last; i++)); do
    floor_round floor.last || or_end "the floor"
    cdss_round last "${one[@]}" || or_end "cdss"
done
table "The first share and the 300th, $last rounds each"
row "the first share: first byte" ms "$results/first" 1000
row "the 300th share: first byte" ms "$results/last" 1000
row "the floor beside the first" ms "$results/floor.first" 1000
row "the floor beside the 300th" ms "$results/floor.last" 1000
goal "the 300th against the first" "$results/last" "$results/first" most 1.2
server python3 "$net_dir/tools/load.py" "${setting[broker.socket]}" remove other $others 8 >/dev/null
floor_fd=${FLOOR[1]}
exec {floor_fd}>&-
container_end
finish
