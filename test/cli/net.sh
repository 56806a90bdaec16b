#!/bin/bash
# The network adapters of a machine that runs: listed, added, unplugged, moved and removed; and what cannot be.
set -u
g=$1 bad=0
d=$(mktemp -d)
export XDG_CONFIG_HOME=$d/config XDG_RUNTIME_DIR=$d/runtime
mkdir -m 700 "$d/config" "$d/runtime"
vm=
trap '[ -z "$vm" ] || kill -KILL "$vm" 2> /dev/null; rm -rf "$d"' EXIT
. "$(dirname "$0")/expect"

expect 1 'no running machine was found' "$g" net list
expect 1 'no running machine was found' "$g" net add nat
one_sentence 'expected a network' "$g" net add
one_sentence 'expected an adapter' "$g" net remove
one_sentence 'expected link=up, link=down or a network after net0' "$g" net set net0

# A BIOS that finds nothing to boot from.
"$g" run --generation 1 --memory 64M --net private,mac=00:15:5d:00:00:01 --net private,adapter=legacy 2> "$d/err" &
vm=$!
for _ in $(seq 100); do "$g" net list > /dev/null 2>&1 && break; sleep 0.1; done
expect 0 '^net0   00:15:5d:00:00:01  private, (not )?in use$' "$g" net list
expect 0 '^net1   00:15:5d:.*  private, legacy$' "$g" net list
expect 0 '^net2 00:15:5d:00:00:02$' "$g" net add nat,mac=00:15:5d:00:00:02,max-out=10M
expect 0 '"net": "nat"' "$g" net list --json
expect 0 'net2 +adapter +00:15:5d:00:00:02' "$g" net show --machine $vm
expect 0 'policy max-out=10' "$g" net show --machine $vm
expect 1 'two adapters with the same address' "$g" net add private,mac=00:15:5d:00:00:02
expect 1 'network "bridge": expected none, private' "$g" net add bridge
expect 1 'part of the machine from its start: leave out adapter=legacy' "$g" net add private,adapter=legacy
expect 1 'net1 is a legacy adapter' "$g" net remove net1
expect 0 '' "$g" net set net1 link=down
expect 0 'private, legacy, link=down$' "$g" net list
expect 0 '' "$g" net set net1 link=up nat
expect 0 '^net1   .*  nat, legacy$' "$g" net list
expect 0 '' "$g" net set 00-15-5D-00-00-02 private
expect 0 '00:15:5d:00:00:02  private, (not )?in use$' "$g" net list
expect 1 'stay as they were when net2 was added' "$g" net set net2 nat,capture=x
expect 1 'link "sideways": expected up or down' "$g" net set net2 link=sideways
expect 0 '' "$g" net remove 00:15:5d:00:00:02
expect 1 'no adapter "net2": this machine has net0, net1$' "$g" net remove net2
# A switch of that name starts with the first who needs it.
expect 0 '' "$g" switch new lan
# A guest (iPXE, say) may not have let go of net2: then it is another name.
n=$("$g" net add switch=lan,port=web | sed -n 's/^\(net[23]\) .*/\1/p')
[ -n "$n" ] || { echo "no adapter on a shared switch"; bad=1; }
for _ in $(seq 50); do "$g" net show lan 2> /dev/null | grep -q '  web ' && break; sleep 0.1; done
expect 0 '  web +adapter' "$g" net show lan
expect 1 'is on switch lan; "genvisor switch port" changes' "$g" net set "$n" switch=lan,vlan=5
expect 0 '' "$g" net remove --no-wait "$n"
for _ in $(seq 50); do "$g" net show lan 2> /dev/null | grep -q '  web ' || break; sleep 0.1; done
"$g" net show lan 2> /dev/null | grep '  web ' && { echo "the port of a removed adapter is still there"; bad=1; }
kill $vm
wait $vm
vm=
[ $bad = 0 ] && echo "all as expected"
exit $bad
