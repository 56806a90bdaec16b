#!/bin/bash
# Shared switches on the command line: definitions, what is wrong with them, being there and not.
set -u
g=$1 bad=0
d=$(mktemp -d)
export XDG_CONFIG_HOME=$d/config XDG_RUNTIME_DIR=$d/runtime
mkdir -m 700 "$d/config" "$d/runtime"
pid=
trap '[ -z "$pid" ] || kill "$pid" 2> /dev/null; rm -rf "$d"' EXIT
. "$(dirname "$0")/expect"
defs=$d/config/genvisor/switches

expect 0 '^$' "$g" switch list
expect 0 '^\[\]$' "$g" switch list --json
expect 0 '"switches": \[\]' "$g" net show --json
expect 0 '' "$g" switch new lan
one_sentence 'switch "lan" is there already' "$g" switch new lan
one_sentence "switch '../lan': expected a name" "$g" switch new ../lan
one_sentence 'which name' "$g" switch new
one_sentence "kind 'bridge': expected private" "$g" switch new --kind bridge x
one_sentence 'needs an uplink' "$g" switch new --kind external x
one_sentence 'needs a tap interface' "$g" switch new --kind internal x
one_sentence 'uplinks belong to kind external' "$g" switch new --uplink tap0 x
one_sentence 'NAT belongs to kind nat' "$g" switch new --nat net=10.9.0.0/24 x
one_sentence 'net=10.9.0.1/24' "$g" switch new --kind nat --nat net=10.9.0.1/24 x
one_sentence "policy: 'vlan=4095': expected a VLAN id" "$g" switch new --policy vlan=4095 x
[ ! -e "$defs/x.json" ] || { echo "a refused switch new left a file"; bad=1; }
expect 0 '' "$g" switch new --kind nat --nat net=10.9.0.0/24 --policy vlan=0,dhcp-guard out
expect 0 'out +nat +no +nat,net=10.9.0.0/24 policy vlan=0,dhcp-guard' "$g" switch list
expect 0 '' "$g" switch new --kind external --uplink tap0 --uplink tap1 --uplink-speed 1G --team dynamic \
	--bandwidth absolute,default=10M ext
expect 0 'ext +external +no +uplink tap0 uplink tap1 uplink-speed 1000000000 team dynamic bandwidth absolute,default=10000000' \
	"$g" switch list
one_sentence "bandwidth 'weight,default=0': expected weight" "$g" switch set ext --bandwidth weight,default=0
one_sentence "uplink-speed 'fast': expected bits a second" "$g" switch set ext --uplink-speed fast
expect 0 '' "$g" switch remove ext
expect 0 '' "$g" switch port lan web 'vlan=5,acl=deny in tcp local-port 22'
one_sentence "after 'remote': expected an address" "$g" switch port lan web 'acl=deny remote'
one_sentence 'expected words' "$g" switch port lan web
one_sentence "port 'a/b': expected a name" "$g" switch port lan a/b vlan=5
expect 0 'port web +vlan=5,acl=deny in tcp local-port 22' "$g" switch list
expect 0 '"web": "vlan=5,acl=deny in tcp local-port 22"' "$g" switch list --json
expect 0 '' "$g" switch port lan web --clear
one_sentence 'nothing is said of port web' "$g" switch port lan web --clear
one_sentence 'no switch "wan": "genvisor switch new wan" makes it' "$g" switch set wan --policy vlan=5
one_sentence 'no switch "wan"' "$g" switch remove wan
one_sentence 'switch lan does not run' "$g" net show lan
one_sentence 'no machine 1 with' "$g" net show --machine 1
expect 1 'switch lan does not run' "$g" switch capture lan "$d/x.pcapng"
one_sentence 'no switch "wan"' "$g" run --kernel /dev/null --net switch=wan
one_sentence "'vlan=x': expected a VLAN id" "$g" run --kernel /dev/null --net switch=lan,vlan=x
one_sentence "'colour=red': expected adapter=, mac=" "$g" run --kernel /dev/null --net private,colour=red
one_sentence 'mac=1: expected the address' "$g" run --kernel /dev/null --net private,mac=1
one_sentence 'acl: .permit.: a rule begins' "$g" run --kernel /dev/null --net 'private,acl=permit'

# Somebody else's file, or one that says what nobody enforces.
chmod 666 "$defs/lan.json"
one_sentence 'others may write to it' "$g" run --kernel /dev/null --net switch=lan
expect 1 'others may write to it' "$g" switch list
chmod 600 "$defs/lan.json"
echo '{"kind": "private", "firewall": "on"}' > "$defs/odd.json"
one_sentence '"firewall" is not known' "$g" run --kernel /dev/null --net switch=odd
rm "$defs/odd.json"

# It runs by itself, once, and ends when told.
expect 0 '' "$g" switch run lan
expect 0 '^switch lan \(private\)$' "$g" net show lan
pid=$("$g" net show lan --json | sed -n 's/.*"process": \([0-9]*\),.*/\1/p')
expect 0 '' "$g" switch run lan
expect 0 "\"process\": $pid," "$g" net show lan --json
expect 0 'lan +private +yes' "$g" switch list
expect 0 '' "$g" switch remove lan
for _ in $(seq 50); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
kill -0 "$pid" 2> /dev/null && { echo 'a removed switch still runs'; bad=1; }
expect 1 'no switch "lan"' "$g" switch run lan
if [ "$bad" = 0 ]; then echo "all as expected"; fi
exit $bad
