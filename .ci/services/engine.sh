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
  forget_dead "$STATE/run/engine.pid"
  forget_dead "$STATE/run/engine/containerd/containerd.pid"
  start engine "$STATE/log/engine.log" dockerd --config-file "$STATE/conf/engine.json" \
    --containerd-namespace aweigh --containerd-plugins-namespace aweigh-plugins
  wait_healthy engine 30 engine_answers
}

# dockerd refuses to start while its old pid is in use, even by a zombie.
forget_dead() {
  [[ ! -s $1 ]] || start_time "$(cat -- "$1")" >/dev/null || rm -- "$1"
}

start_engine() {
  local driver
  is_running engine && engine_answers 2>/dev/null && return
  stop engine
  step "starting the Docker Engine"
  if [[ -s $STATE/storage-driver ]]; then
    driver=$(cat -- "$STATE/storage-driver")
    start_engine_with "$driver" || fail_engine
    return
  fi
  # A container's root is often an overlay itself, which cannot hold another one.
  for driver in overlay2 vfs; do
    if start_engine_with "$driver"; then
      printf '%s\n' "$driver" | write_if_changed "$STATE/storage-driver" 644
      return
    fi
    stop engine
  done
  fail_engine
}

fail_engine() {
  fail "dockerd does not answer on $ENGINE_SOCKET" \
    "it needs root with CAP_SYS_ADMIN and a mounted /sys/fs/cgroup" "$STATE/log/engine.log"
}

# stop_engine_orphans NAME: a killed dockerd leaves its containers, each below a shim whose
# command line names our directory. A new dockerd takes them over by itself; only a final
# stop needs this.
stop_engine_orphans() {
  local name=$1 directory pid child
  for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    case $(cat "$directory/comm" 2>/dev/null) in containerd*) ;; *) continue ;; esac
    tr '\0' '\n' 2>/dev/null <"$directory/cmdline" |
      grep --quiet --fixed-strings -- "$STATE/run/$name/containerd/" || continue
    for child in $(pgrep --parent "$pid"); do
      kill -KILL "$child" 2>/dev/null || true
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
}
