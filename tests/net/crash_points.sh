#!/usr/bin/env bash
# cdssd is killed at each of its stopping points (common/stopping_point.h), while another share is
# being used: after the next start the share that was under way is whole or gone, nothing else is
# left, and the other one's download goes on.
#
#   tests/net/crash_points.sh [POINT...]
#
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=bystander.sh
. "$net_dir/bystander.sh"
"$build_dir/broker/cdssd" --stopping-points >/dev/null 2>&1 ||
    { skip "all of it" "this build has no stopping points"; exit 0; }

begin
images=${setting[repository.images]}
image_random a.bin 100000
image_random b.bin 100000
images_real
for name in disc more; do
    mkdir "$environment_dir/$name" && echo "this is $name" >"$environment_dir/$name/hello"
    mksquashfs "$environment_dir/$name" "$images/$name.squashfs" -quiet -no-progress >/dev/null
done
# Where it is taken for contents of disc.squashfs: linking it fails.
image_random disc/inside.bin 1000
start
bystander_begin
broker_kill
broker_start
bystander_note

# -- the operations, each with a client that is cut off when cdssd dies --------------------------------

create() { # USER CLIENT
    cdss share create "$1" --image a.bin --image disc.squashfs --image linux/grub.iso \
        --client "$(client4 "$2")" --protocol http,ftp,tftp --for 10m
}
do_create() { create alice 1; }
do_extend() { cdss share extend alice --for 20m; }
do_add() { cdss share add alice --image b.bin --image more.squashfs --image "boot roms/ipxe.iso"; }
do_end() { cdss share remove alice; }
# Two failures: the reader is not accepted, since its supervisor has no place for the call; and a
# link that cannot be made, behind one that was.
do_take_back() {
    local holder
    python3 "$net_dir/tools/full_control.py" \
        "$environment_dir/run/shares/$(share_field alice 'share["id"]')/control" \
        >"$out/held" </dev/null &
    holder=$!
    wait_for 10 test -s "$out/held"
    cdss share add alice --image more.squashfs --image "boot roms/ipxe.iso"
    kill -KILL $holder
    wait $holder 2>/dev/null
    rm -f "$out/held"
}
# A share is taken up again; of another one that was being prepared everything is left.
do_start() { broker_start "${stopped[@]}"; }
do_stop() { kill -TERM "$broker_pid"; }

before_create() { :; }
before_extend() { is_shared alice || create alice 1 >/dev/null; }
before_add() {
    cdss share remove alice >/dev/null 2>&1
    create alice 1 >/dev/null
}
before_end() { before_extend; }
before_take_back() { before_add; }
before_start() {
    before_extend
    broker_kill
    broker_start env CDSS_STOP_AT=create.firewall_added
    create carol 2 >/dev/null 2>&1
    wait_for 10 is_gone "$broker_pid" 2>/dev/null
    wait "$broker_pid" 2>/dev/null
}
before_stop() { before_extend; }

# What may be the case afterwards: "gone", and the seconds that a whole share may have left.
declare -A may_be=([create]="gone 600" [extend]="600 1200" [add]="600" [take_back]="600"
    [end]="gone 600 1200" [start]="600 1200" [stop]="600 1200")
images_before="a.bin|disc.squashfs|linux/grub.iso|"
images_after="${images_before}b.bin|more.squashfs|boot roms/ipxe.iso|"

is_shared() { cdss share show "$1" >/dev/null 2>&1; } # USER

# -- which operations pass a point, and how often ------------------------------------------------------

# By the word before the dot.
passes_of() { # POINT: lines of OPERATION N
    case $1 in
    registry.*)
        printf '%s\n' "create 1" "create 2" "extend 1" "add 1" "end 1"
        ;;
    prepare.image_linked | prepare.contents_made) printf '%s\n' "create 1" "add 1" "add 2" ;;
    prepare.*) printf '%s\n' "create 1" "add 1" ;;
    add.image_shown) printf '%s\n' "add 1" "add 2" ;;
    start.step_done) printf 'start %s\n' 5 7 12 14 15 ;;
    stop.step_done) printf 'stop %s\n' 1 4 ;;
    *) echo "${1%%.*} 1" ;;
    esac
}

# -- one crash -----------------------------------------------------------------------------------------

serves() { # PATH=EXPECTED-FILE...
    local one i=0 urls=()
    for one; do urls+=(-o "$out/got-$((${#urls[@]} / 4))" "http://$server4:8080/${one%%=*}" --next); done
    client 1 curl -sSf -g -m $limit "${urls[@]:0:${#urls[@]}-1}" 2>"$environment_dir/client.err"
    for one; do
        cmp -s "$out/got-$i" "${one#*=}" || echo "${one%%=*} is not served"
        rm -f "$out/got-$i"
        i=$((i + 1))
    done
}

served_as_added() {
    serves "b.bin=$images/b.bin" "more/hello=$environment_dir/more/hello" \
        "boot%20roms/ipxe/boot.cat=$data_dir/ipxe/boot.cat"
}

not_served_but_addable() {
    local path
    for path in b.bin more/ more.squashfs boot%20roms/; do
        ! get_http 1 "http://$server4:8080/$path" "$out/a" || echo "$path is shared, and not in its row"
    done
    cdss share add alice --image b.bin --image more.squashfs >/dev/null 2>"$out/err" ||
        echo "nothing can be added: $(cat "$out/err")"
    serves "more/hello=$environment_dir/more/hello"
}

# Prints what is wrong with a share that is there.
faults_of_share() { # OPERATION
    local seconds
    read -ra seconds <<<"${may_be[$1]#gone }"
    cdss --json share show alice >"$out/show" 2>/dev/null
    share_compare "$out/show" "${seconds[@]}"
    serves "a.bin=$images/a.bin" "disc/hello=$environment_dir/disc/hello" \
        "linux/grub/boot/grub/grub.cfg=$data_dir/grub/boot/grub/grub.cfg"
    case $1/$share_paths in
    add/"$images_after") served_as_added ;;
    add/"$images_before" | take_back/"$images_before") not_served_but_addable ;;
    */"$images_before") ;;
    *) echo "it has the images $share_paths" ;;
    esac
    cdss share extend alice --for 20m >/dev/null 2>"$out/err" ||
        echo "it cannot be extended: $(cat "$out/err")"
}

faults() { # OPERATION
    if ! is_shared alice; then
        [[ ${may_be[$1]} == gone* ]] || echo "it is gone"
    else
        faults_of_share "$1"
    fi
    ! is_shared carol || echo "carol's share, which was not finished, is there"
    is_shared bystander || echo "the bystander's share is gone"
    cdss share remove alice >/dev/null 2>"$out/err" || [ $? = 3 ] ||
        echo "it cannot be removed: $(cat "$out/err")"
    wait_for 3 bystander_alone || sed 's/^/left: /' "$environment_dir/residue"
}

crash() { # POINT OPERATION N
    local name="$1, $2"
    [ "$3" = 1 ] || name+=" ($3)"
    "before_$2"
    stopped=(env "CDSS_STOP_AT=$1:$3")
    if [ "$2" != start ]; then
        broker_kill
        broker_start "${stopped[@]}"
    fi
    "do_$2" >"$out/said" 2>&1 </dev/null
    if ! wait_for 5 is_gone "$broker_pid" 2>/dev/null; then
        head -n 3 "$out/said" | sed 's/^/# /'
        not_ok "$name: it is passed"
        cdss share remove alice >/dev/null 2>&1
        return
    fi
    wait "$broker_pid" 2>/dev/null
    status=$?
    if [ $status != 137 ]; then # of SIGKILL, and not by itself
        note "exit $status"
        not_ok "$name: it is passed"
    fi
    if ! broker_start; then
        tail -n 5 "$broker_log" | sed 's/^/# /'
        not_ok "$name: cdssd starts again"
        exit 1
    fi
    faults "$2" >"$out/faults"
    if [ -s "$out/faults" ]; then
        sed 's/^/# /' "$out/faults"
        tail -n 12 "$broker_log" | cut -c1-200 | sed 's/^/#   /'
        not_ok "$name"
        bystander_note # the next one is judged by itself
    else
        ok "$name"
    fi
}

if [ $# -gt 0 ]; then
    points=("$@")
else
    mapfile -t points < <("$build_dir/broker/cdssd" --stopping-points | sort)
    [ "$(printf '%s\n' "${points[@]}" | sort | uniq -d | wc -l)" = 0 ]
    verdict $? "${#points[@]} stopping points, each with a name of its own"
fi
turn=0
for point in "${points[@]}"; do
    mapfile -t passes < <(passes_of "$point")
    for pass in "${passes[@]}"; do
        turn=$((turn + 1))
        if ! declare -F "do_${pass% *}" >/dev/null; then
            not_ok "$point: nobody knows how to get there"
        elif [ "$sanitized" = no ] || [ $((turn % 4)) = 1 ]; then # a crash runs no code of its own
            crash "$point" "${pass% *}" "${pass#* }"
        fi
    done
done

bystander_end
finish
