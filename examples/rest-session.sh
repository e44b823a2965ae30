#!/bin/sh
# A whole session with the REST API: a pool, nodes, a peer and an endpoint, which moves and goes again.
# Needs curl and a controller: `polder up --no-agent` starts one on this machine.
#
#   POLDER_SERVER=http://127.0.0.1:8080 sh examples/rest-session.sh
set -eu
server="${POLDER_SERVER:-http://127.0.0.1:8080}"

# call METHOD PATH [BODY] [CONTENT-TYPE]: prints the request and the answer; an error answer ends the script.
call() {
    printf '\n%s %s %s\n' "$1" "$2" "${3:-}"
    if [ $# -gt 2 ]; then
        curl -sS --fail-with-body -X "$1" "$server$2" -H "Content-Type: ${4:-application/json}" --data "$3"
    else
        curl -sS --fail-with-body -X "$1" "$server$2"
    fi
}

# A pool is a range that addresses are assigned from. Nodes claim blocks of it as they need them.
call POST /v1/pools '{"name": "example", "cidr": "10.65.0.0/16", "cooldown_s": 0}'

# A node is a host that runs workloads, with the AS number of its BGP speaker.
call POST /v1/nodes '{"name": "example-1", "asn": 64511}'
call POST /v1/nodes '{"name": "example-2", "asn": 64512}'

# A peer is a router that a node opens a BGP session with; without "node", every node does.
call POST /v1/peers '{"name": "example-1-tor-a", "address": "198.51.100.1", "asn": 64501, "node": "example-1"}'

# An endpoint is one workload's interface. The answer holds its address, gateway, MAC and MTU.
call POST /v1/endpoints '{"id": "example-web-1", "node": "example-1", "pool": "example", "labels": {"app": "web"}}'

# The same request again answers the same: a client whose connection broke just repeats it.
call POST /v1/endpoints '{"id": "example-web-1", "node": "example-1", "pool": "example", "labels": {"app": "web"}}'

# Read it, and list what there is.
call GET /v1/endpoints/example-web-1
call GET '/v1/endpoints?limit=10'
call GET /v1/bgp/sessions

# Move it: it keeps its address, which the new node announces as a /32 of its own.
call PATCH /v1/endpoints/example-web-1 '{"node": "example-2"}' application/merge-patch+json

# Delete it. Attached, it would answer 202 and be "releasing" until its node has withdrawn and cleaned up.
call DELETE /v1/endpoints/example-web-1

# Leave nothing behind.
call DELETE /v1/peers/example-1-tor-a
call DELETE /v1/nodes/example-1
call DELETE /v1/nodes/example-2
call DELETE /v1/pools/example
printf '\nrest-session: done\n'
