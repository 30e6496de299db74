#!/usr/bin/env bash
# What cdss and cdssd say about themselves: status, doctor, image list, versions, configuration
# checks; for people and for programs.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
image_random secret/a.bin 1000
echo x >"${setting[repository.images]}/secret/.passwd"
image_random open.bin 1000
echo x >"${setting[repository.images]}/open.bin.passwd"

for program in broker/cdss broker/cdssd; do
    expect_ok "$program --version" "$build_dir/$program" --version
    grep -qE '^cdssd? [0-9]+\.[0-9]+\.[0-9]+ \(([0-9a-f]+(-dirty)?|unknown)\)$' "$environment_dir/out"
    verdict $? "it tells version and commit: $(cat "$environment_dir/out")"
    expect_ok "$program --help" "$build_dir/$program" --help
done
expect_ok "cdssd -n: a good configuration" server "$build_dir/broker/cdssd" -n -c "$config"
echo "[network]" >"$environment_dir/bad.conf"
echo "ports=80000-90000" >>"$environment_dir/bad.conf"
expect_refused "cdssd -n: a bad one, by file and line" "bad.conf:2" \
    server "$build_dir/broker/cdssd" -n -c "$environment_dir/bad.conf"
expect_refused "cdssd -n: none" "nothing.conf" \
    server "$build_dir/broker/cdssd" -n -c "$environment_dir/nothing.conf"
for command in "share list" "image list" "status" "reap"; do
    # shellcheck disable=SC2086 # words
    expect_refused "cdss $command without cdssd" "not running" cdss $command
done
start

expect_ok "status" cdss status
grep -q "$broker_pid" "$environment_dir/out"
verdict $? "it names the process"
json() { # PYTHON-EXPRESSION-ON-it COMMAND...
    cdss --json "${@:2}" | python3 -c 'import json, sys
it = json.load(sys.stdin)
sys.exit(not eval(sys.argv[1]))' "$1"
}
json "it['pid'] == $broker_pid and it['active'] == 0 and it['firewall'] == 'ok' and it['registry'] == 'ok'" \
    status
verdict $? "status --json"
json 'it["shares"] == []' share list
verdict $? "share list --json without shares"
expect_ok "share list without shares" cdss share list
expect_ok "a share" cdss --json share create alice --image linux/grub.iso --client "$(client4 1)" \
    --protocol http,ftp,tftp --for 10m
python3 -c 'import json, sys
it = json.load(open(sys.argv[1]))
assert it["user"] == "alice" and it["state"] == "active" and 590 <= it["remaining"] <= 600
assert [i["contents"] for i in it["images"]] == ["linux/grub"]
assert [p["name"] for p in it["protocols"]] == ["http", "ftp", "tftp"]' "$environment_dir/out"
verdict $? "share create --json is the share"
json 'it["active"] == 1 and it["ports_used"] == 3' status
verdict $? "status counts it"
expect_ok "doctor" cdss doctor
json 'all(c for c in it)' doctor
verdict $? "doctor --json"
get_http 1 "http://$server4:8080/linux/grub.iso" "$out/a"
json '[c for c in it["checks"] if c["name"] == "mark" and
    (c["result"] == "ok" and "of shares" in c["message"] or "cannot be seen" in c["message"])]' doctor
verdict $? "doctor knows the marks of its own shares"

lists() { # NAME EXPECTED [PATTERN]
    cdss --json image list "${@:3}" | python3 -c 'import json, sys
print(" ".join(i["path"] for i in json.load(sys.stdin)["images"]))' >"$environment_dir/list"
    [ "$(cat "$environment_dir/list")" = "$2" ]
    verdict $? "image list: $1"
}
lists "all, in order" "boot roms/ipxe.iso linux/grub.iso memtest.iso open.bin secret/a.bin"
lists "a part of the path" "linux/grub.iso" GRUB
lists "a pattern" "boot roms/ipxe.iso linux/grub.iso memtest.iso" '*.iso'
lists "nothing" "" nothing
json '{i["path"]: (i["type"], i["mountable"], i["is_protected"]) for i in it["images"]} == {
    "boot roms/ipxe.iso": ("iso9660", 1, 0), "linux/grub.iso": ("iso9660", 1, 0),
    "memtest.iso": ("iso9660", 1, 0), "open.bin": ("raw", 0, 1), "secret/a.bin": ("raw", 0, 1)}' image list
verdict $? "image list: types, what can be mounted, what is protected"
finish
