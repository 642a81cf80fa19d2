#!/usr/bin/env bash
# dhcp.sh SERVER CONFIG CLASS…: a DHCP server with that configuration, and for each vendor class a client that says it
# (- says none); what the client was told, as `CLASS<tab>NAME=VALUE`. SERVER is dhcpd, dhcpd6, kea-dhcp4 or kea-dhcp6.
# Runs where the test has made namespaces for network, mounts and processes: all that is started ends with it. The current
# directory is its own.
set -euo pipefail
server=$1 config=$2
shift 2
export KEA_PIDFILE_DIR=$PWD KEA_LOCKFILE_DIR=none
# Where Kea keeps its leases; seen by nobody else.
mount -t tmpfs none /var/lib
mkdir /var/lib/kea

ip link set lo up
unshare --net sleep 300 &
device=$!
while [ "$(readlink /proc/$device/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
at_device() { nsenter --target "$device" --net "$@"; }
ip link add srv0 type veth peer name cpe0
ip link set cpe0 netns "$device"
echo 0 >/proc/sys/net/ipv6/conf/srv0/accept_dad
at_device sh -c 'echo 0 >/proc/sys/net/ipv6/conf/cpe0/accept_dad'
ip address add 192.0.2.1/24 dev srv0
ip address add 2001:db8::1/64 dev srv0 nodad
ip link set srv0 up
at_device ip link set lo up
at_device ip link set cpe0 up
until ip -6 address show dev srv0 scope link | grep -q fe80 && at_device ip -6 address show dev cpe0 scope link | grep -q fe80; do
  sleep 0.05
done

: >leases
case $server in
  dhcpd) dhcpd -4 -f -q -cf "$config" -lf leases --no-pid srv0 >server.log 2>&1 & ;;
  dhcpd6) dhcpd -6 -f -q -cf "$config" -lf leases --no-pid srv0 >server.log 2>&1 & ;;
  *) "$server" -c "$config" >server.log 2>&1 & ;;
esac
running=$!

cat >told.sh <<'S'
#!/bin/sh
case "$1$reason" in bound | BOUND6) env | grep -E '^(opt43|opt125|ip|new_ip6_address|new_dhcp6_vendor_opts)=' >>told ;; esac
exit 0
S
chmod +x told.sh

for class in "$@"; do
  : >told
  case $server in
    *6)
      hex=$(printf '%s' "$class" | od -An -v -tx1 | tr -d '\n' | tr ' ' ':')
      length=$(printf '%02x' ${#class})
      # Option 16: enterprise number, length, text.
      send="option dhcp6.vendor-class code 16 = string; send dhcp6.vendor-class 00:00:0d:e9:00:$length$hex;"
      [ "$class" != - ] || send=
      echo "$send request dhcp6.vendor-opts;" >client.conf
      : >client.leases
      nsenter --target "$device" --net dhclient -6 -1 -d -sf "$PWD/told.sh" -cf client.conf -lf client.leases \
        --no-pid cpe0 >client.log 2>&1 &
      client=$!
      until grep -q new_ip6_address told; do
        kill -0 "$running"
        sleep 0.05
      done
      kill "$client"
      wait "$client" || true
      ;;
    *)
      say=(-V "$class")
      [ "$class" != - ] || say=(-V "")
      # It asks again until the server is up.
      at_device udhcpc -f -n -q -t 30 -T 1 -i cpe0 "${say[@]}" -O 43 -O 125 -s "$PWD/told.sh" >client.log 2>&1
      ;;
  esac
  sed "s/^/$class\t/" told
done
