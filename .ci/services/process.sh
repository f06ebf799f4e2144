# Starts, finds and stops long-running processes, each known by its pid and start time.

# The kernel's start tick tells a process of ours from a later one with the same pid.
start_time() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }" # the name before it may hold anything
  [[ ${fields[0]} != Z ]] || return 1
  printf '%s\n' "${fields[19]}"
}

# is_running NAME
is_running() {
  local pid started
  read -r pid started 2>/dev/null <"$STATE/pid/$1" || return 1
  [[ -n $started && $(start_time "$pid") == "$started" ]]
}

# start NAME STDOUT COMMAND...: stderr goes to log/NAME.log, and stdout to STDOUT.
start() {
  local name=$1 stdout=$2 pid started
  shift 2
  mkdir -p -- "$STATE/pid" "$STATE/log"
  setsid "$@" </dev/null >>"$stdout" 2>>"$STATE/log/$name.log" 9>&- &
  pid=$!
  disown "$pid"
  started=$(start_time "$pid") || started=0
  printf '%s %s\n' "$pid" "$started" | write_if_changed "$STATE/pid/$name" 644
}

# wait_healthy NAME SECONDS CHECK...: false when it died or never answered.
wait_healthy() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    is_running "$name" || return 1
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# stop NAME: nothing but the recorded process, and only if it is still that process.
stop() {
  local name=$1 pid started deadline=$((SECONDS + 20))
  if is_running "$name"; then
    read -r pid started <"$STATE/pid/$name"
    kill -TERM "$pid"
    kill -CONT "$pid" # a suspended process would never see it
    while is_running "$name"; do
      if ((SECONDS >= deadline)); then
        kill -KILL "$pid" 2>/dev/null || true
        sleep 0.2
        break
      fi
      sleep 0.1
    done
  fi
  rm -f -- "$STATE/pid/$name"
}
