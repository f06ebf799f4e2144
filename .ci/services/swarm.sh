# A swarm of two nodes: two more Docker Engines, each in a network namespace of its own.
#
# What was tried on 20.10 before this was written:
# - the namespaces hang on one bridge by veth pairs; each engine may set firewall rules, for
#   they are its namespace's alone, and the machine's own stay as they are;
# - services publish in mode=host, on an overlay network and on the engine's bridge; ingress
#   needs IPVS in the kernel, so it is removed and ports are not taken by something deaf;
# - names resolve across the nodes; whether packets of the overlay pass is up to the kernel
#   (here "No route to host" between nodes), so nothing in the tests relies on it;
# - a dead node is missed after three heartbeats: of 1 s, where Docker's default is 5 s;
# - registries are reached under the machine's own name for them (relay.py).

SWARM_NODES=(1 2)
RELAY_SOURCE=$SERVICES/relay.py

# Names of our own for each state directory: interfaces have at most 15 characters.
swarm_mark() {
  local sum
  sum=$(printf '%s' "$STATE" | sha256sum)
  printf '%s\n' "${sum:0:6}"
}
node_space() { printf 'aweigh-%s-%s\n' "$(swarm_mark)" "$1"; }
node_link() { printf 'aw%s-%s\n' "$(swarm_mark)" "$1"; }
node_socket() { printf '%s/swarm-%s.sock\n' "$STATE" "$1"; }
# 0 is the bridge.
node_address() { printf '10.213.%d.%d\n' "$((16#$(swarm_mark) % 250 + 1))" "$(($1 + 1))"; }
node_curl() {
  local socket
  socket=$(node_socket "$1")
  shift
  local_curl --unix-socket "$socket" "$@"
}
node_answers() { [[ $(node_curl "$1" http://node/_ping) == OK ]]; }
in_node() { nsenter --net="/run/netns/$(node_space "$1")" "${@:2}"; }

make_spaces() {
  local bridge node space link
  bridge=$(node_link b)
  if ! ip link show "$bridge" >/dev/null 2>&1; then
    ip link add "$bridge" type bridge
    ip address add "$(node_address 0)/24" dev "$bridge"
    ip link set "$bridge" up
  fi
  for node in "${SWARM_NODES[@]}"; do
    space=$(node_space "$node") link=$(node_link "$node")
    [[ -e /run/netns/$space ]] || ip netns add "$space"
    ip link show "$link" >/dev/null 2>&1 && continue
    ip link add "$link" type veth peer name eth0 netns "$space"
    ip link set "$link" master "$bridge" up
    ip -n "$space" link set lo up
    ip -n "$space" address add "$(node_address "$node")/24" dev eth0
    ip -n "$space" link set eth0 up
    ip -n "$space" route add default via "$(node_address 0)"
  done
}

remove_spaces() {
  local node
  for node in "${SWARM_NODES[@]}"; do
    ip link delete "$(node_link "$node")" 2>/dev/null || true
    ip netns delete "$(node_space "$node")" 2>/dev/null || true
  done
  ip link delete "$(node_link b)" 2>/dev/null || true
}

node_config() {
  /usr/bin/python3 - "$STATE" "$1" "$(cat -- "$STATE/storage-driver")" "${SUDO_GID:-0}" <<'PY'
import json
import sys

state, node, driver, group = sys.argv[1:]
print(
    json.dumps(
        {
            "hosts": [f"unix://{state}/swarm-{node}.sock"],
            "group": group,
            "data-root": f"{state}/data/swarm-{node}",
            "exec-root": f"{state}/run/swarm-{node}",
            "pidfile": f"{state}/run/swarm-{node}.pid",
            "storage-driver": driver,
            "shutdown-timeout": 5,
        },
        indent=2,
    )
)
PY
}

start_node() {
  local node=$1 name=swarm-$1
  is_running "$name" && node_answers "$node" 2>/dev/null && return
  stop "$name"
  mkdir -p -- "$STATE/data/$name" "$STATE/run/$name" "$STATE/conf"
  node_config "$node" | write_if_changed "$STATE/conf/$name.json" 644
  rm -f -- "$(node_socket "$node")"
  forget_dead "$STATE/run/$name.pid"
  forget_dead "$STATE/run/$name/containerd/containerd.pid"
  step "starting the engine of swarm node $node"
  # Each command replaces the one before: the recorded process is dockerd itself.
  start "$name" "$STATE/log/$name.log" \
    nsenter --net="/run/netns/$(node_space "$node")" unshare --uts \
    sh -c 'hostname "$0"; exec "$@"' "aweigh-node-$node" \
    dockerd --config-file "$STATE/conf/$name.json" \
    --containerd-namespace "aweigh-$name" \
    --containerd-plugins-namespace "aweigh-plugins-$name"
}

relay_answers() {
  local node
  for node in "${SWARM_NODES[@]}"; do
    in_node "$node" curl --noproxy '*' --silent --max-time 5 --fail \
      "http://127.0.0.1:$(port registry-open)/v2/" || return
  done
}

start_relay() {
  local node spaces=()
  is_running swarm-relay && relay_answers >/dev/null 2>&1 && return
  stop swarm-relay
  for node in "${SWARM_NODES[@]}"; do spaces+=("/run/netns/$(node_space "$node")"); done
  start swarm-relay "$STATE/log/swarm-relay.log" /usr/bin/python3 "$RELAY_SOURCE" \
    "$(port registry-open),$(port registry-secure)" "${spaces[@]}"
  wait_healthy swarm-relay 10 relay_answers ||
    fail "the swarm's nodes do not reach the registries" "see the log" \
      "$STATE/log/swarm-relay.log"
}

# swarm_state NODE FIELD: of what the engine says about its swarm.
swarm_state() {
  node_curl "$1" http://node/info |
    /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["Swarm"][sys.argv[1]])' "$2"
}

# swarm_request NODE METHOD PATH DOCUMENT: the answer; false when it was refused.
swarm_request() {
  local node=$1 method=$2 path=$3 document=$4
  node_curl "$node" --fail-with-body --max-time 60 --request "$method" --data "$document" \
    --header 'Content-Type: application/json' "http://node/$path"
}

has_two_ready() {
  [[ $(node_curl 1 http://node/nodes | /usr/bin/python3 -c 'import json, sys
print(sum(node["Status"]["State"] == "ready" for node in json.load(sys.stdin)))') == 2 ]]
}

# Nodes remember their swarm; one that was set up for another starts afresh.
form_swarm() {
  local log=$STATE/log/swarm.log node address token
  if [[ $(swarm_state 1 LocalNodeState) == active ]] &&
    [[ $(swarm_state 2 LocalNodeState) == active ]] &&
    [[ $(swarm_state 1 NodeAddr) == $(node_address 1) ]]; then
    wait_healthy swarm-1 20 has_two_ready && return
  fi
  step "forming the swarm"
  for node in "${SWARM_NODES[@]}"; do
    swarm_request "$node" POST 'swarm/leave?force=1' '' >>"$log" 2>&1 || true
  done
  address=$(node_address 1)
  swarm_request 1 POST swarm/init "{\"ListenAddr\": \"$address:2377\",
    \"AdvertiseAddr\": \"$address\",
    \"Spec\": {\"Dispatcher\": {\"HeartbeatPeriod\": 1000000000}}}" >>"$log" 2>&1 &&
    token=$(node_curl 1 http://node/swarm | /usr/bin/python3 -c \
      'import json, sys; print(json.load(sys.stdin)["JoinTokens"]["Worker"])') &&
    swarm_request 2 POST swarm/join "{\"ListenAddr\": \"$(node_address 2):2377\",
      \"AdvertiseAddr\": \"$(node_address 2)\", \"RemoteAddrs\": [\"$address:2377\"],
      \"JoinToken\": \"$token\"}" >>"$log" 2>&1 &&
    wait_healthy swarm-1 20 has_two_ready &&
    wait_healthy swarm-1 20 remove_ingress ||
    fail "the two engines formed no swarm" "see also log/swarm-1.log, log/swarm-2.log" \
      "$log"
}

# It appears a moment after the swarm does.
remove_ingress() {
  [[ -e $STATE/data/swarm-1/ingress-removed ]] && return
  swarm_request 1 DELETE networks/ingress '' || return
  : >"$STATE/data/swarm-1/ingress-removed"
}

start_swarm_engines() {
  local node
  make_spaces ||
    fail "no network namespaces could be made" "it needs CAP_NET_ADMIN, veth and bridge"
  for node in "${SWARM_NODES[@]}"; do start_node "$node"; done
}

finish_swarm() {
  local node pids=() pid
  start_relay
  for node in "${SWARM_NODES[@]}"; do
    wait_healthy "swarm-$node" 30 node_answers "$node" ||
      fail "the engine of swarm node $node does not answer" "see the log" \
        "$STATE/log/swarm-$node.log"
  done
  form_swarm
  for node in "${SWARM_NODES[@]}"; do
    give_base "$node" &
    pids+=("$!")
  done
  for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
}

give_base() {
  local log=$STATE/log/swarm-$1.log
  node_curl "$1" --fail "http://node/images/$(open_base):$BASE_TAG/json" >/dev/null 2>&1 && return
  step "pulling the base image on swarm node $1"
  node_curl "$1" --fail --max-time 180 --request POST \
    "http://node/images/create?$(query "fromImage=$(open_base)" "tag=$BASE_TAG")" >/dev/null &&
    node_curl "$1" --fail "http://node/images/$(open_base):$BASE_TAG/json" >/dev/null ||
    fail "swarm node $1 did not pull the base image" "see the log" "$log"
}
