# The Docker Engine of the tests: its own data, sockets and pid file, no firewall rules.
#
# What an engine with iptables off and no default bridge can do, as tried on 20.10:
# - builds on the host network reach the package archives (no other network gets out);
# - "docker run -p" publishes on a user-defined bridge network, through docker-proxy;
# - "swarm init --advertise-addr 127.0.0.1" works; a service publishes in mode=host when it
#   is on an overlay network of its own, and not without one;
# - mode=ingress also needs IPVS in the kernel: without it the port never opens, and the
#   service counts as running all the same.

engine_config() {
  /usr/bin/python3 - "$STATE" "$1" "${SUDO_GID:-0}" <<'PY'
import json
import sys

state, driver, group = sys.argv[1:]
print(
    json.dumps(
        {
            "hosts": [f"unix://{state}/engine.sock"],
            "group": group,
            "data-root": f"{state}/data/engine",
            "exec-root": f"{state}/run/engine",
            "pidfile": f"{state}/run/engine.pid",
            "storage-driver": driver,
            "iptables": False,
            "ip-forward": False,
            "bridge": "none",
            "features": {"buildkit": True},
            "shutdown-timeout": 5,
        },
        indent=2,
    )
)
PY
}

engine_answers() { [[ $(engine_curl http://engine/_ping) == OK ]]; }

# The namespaces keep us apart from a Docker that shares the machine's containerd.
start_engine_with() {
  mkdir -p -- "$STATE/data/engine" "$STATE/run/engine" "$STATE/conf"
  engine_config "$1" | write_if_changed "$STATE/conf/engine.json" 644
  rm -f -- "$ENGINE_SOCKET"
  start engine "$STATE/log/engine.log" dockerd --config-file "$STATE/conf/engine.json" \
    --containerd-namespace aweigh --containerd-plugins-namespace aweigh-plugins
  wait_healthy engine 30 engine_answers
}

start_engine() {
  local driver=overlay2
  is_running engine && engine_answers 2>/dev/null && return
  stop engine
  stop_engine_orphans
  step "starting the Docker Engine"
  [[ ! -s $STATE/storage-driver ]] || driver=$(cat -- "$STATE/storage-driver")
  if ! start_engine_with "$driver"; then
    # A container's root is often an overlay itself, which cannot hold another one.
    stop engine
    driver=vfs
    start_engine_with "$driver" || fail "dockerd does not answer on $ENGINE_SOCKET" \
      "it needs root with CAP_SYS_ADMIN and a mounted /sys/fs/cgroup; see the log" \
      "$STATE/log/engine.log"
  fi
  printf '%s\n' "$driver" | write_if_changed "$STATE/storage-driver" 644
}

# A killed dockerd leaves its container shims; they name our socket on the command line.
stop_engine_orphans() {
  local directory pid
  for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    case $(cat "$directory/comm" 2>/dev/null) in containerd*) ;; *) continue ;; esac
    if tr '\0' '\n' 2>/dev/null <"$directory/cmdline" |
      grep --quiet --fixed-strings -- "$STATE/run/engine/containerd/"; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
}
