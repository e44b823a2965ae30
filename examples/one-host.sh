#!/bin/sh
# One host, no lab: a container with a routable address of its own. A network namespace stands for the container.
# Needs root, and `polder up` beside it on this host, which says when its agent is ready.
#
#   sh examples/one-host.sh
set -eu
node="${POLDER_NODE:-$(hostname -s)}"   # as `polder node list` shows it
container="example-web-1"

# Whatever happens, leave nothing behind.
clean() {
    polder endpoint delete "$container" || true
    polder pool delete example-host --yes || true   # whatever is withdrawn from routers
    ip netns delete "$container" || true
}

polder pool create example-host --cidr 10.66.0.0/24 --cooldown-s 0
trap clean EXIT
polder endpoint create "$container" --node "$node" --pool example-host

# What a container runtime does: a namespace, then the endpoint's interface in it.
ip netns add "$container"
polder attach "$container" --netns "$container"

# The container: one address, a default route, no bridge port or subnet that it has to know of.
ip -n "$container" address show dev eth0
ip -n "$container" route

# The host: one route to it, marked as Polder's, and it answers.
address=$(ip -n "$container" -4 -o address show dev eth0 | awk '{ sub("/.*", "", $4); print $4 }')
ip route get "$address"
ping -c 3 -i 0.2 "$address"

polder endpoint list
printf 'one-host: done\n'
