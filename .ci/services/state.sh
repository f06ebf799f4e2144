# Where the services keep their state, and how a failing step speaks.

# shellcheck disable=SC2034 # the files that source this one use these

STATE=${AWEIGH_SERVICES_DIR:-/var/lib/aweigh-services}
STATE=$(realpath -m -- "$STATE")
SERVICES_JSON=$STATE/services.json
ENGINE_SOCKET=$STATE/engine.sock
S3_BUCKET=aweigh-test
S3_ACCESS_KEY=aweigh
S3_SECRET_KEY=aweigh-secret
SECURE_USERNAME=aweigh

# fail WHAT HINT [LOG]
fail() {
  {
    printf '%s: %s\n' "${0##*/}" "$1"
    if [[ -n ${3:-} && -s ${3:-} ]]; then
      printf '  last lines of %s:\n' "$3"
      tail -n 15 -- "$3" | sed 's/^/  | /'
    fi
    printf '  hint: %s\n' "$2"
  } >&2
  exit 1
}

step() { printf '%s: %s\n' "${0##*/}" "$1" >&2; }

# Two runs at once would start everything twice: the second waits for the first.
lock_state() {
  mkdir -p -- "$STATE"
  chmod 755 -- "$STATE"
  exec 9>"$STATE/lock"
  flock --timeout 600 9 || fail "another setup or teardown holds $STATE/lock" \
    "wait for it, or look for it with: fuser -v $STATE/lock"
}

# A proxy from the environment must never see a loopback request.
local_curl() { curl --noproxy '*' --silent --show-error --max-time 5 "$@"; }

engine_curl() { local_curl --unix-socket "$ENGINE_SOCKET" "$@"; }

secure_curl() {
  local_curl --cacert "$STATE/tls/ca.pem" --netrc-file "$STATE/secure.netrc" "$@"
}

# write_if_changed PATH MODE < CONTENT: atomic; an equal file is left alone, and nothing at
# all (the writer before the pipe failed) is never written.
write_if_changed() {
  local path=$1 mode=$2 fresh
  fresh=$(mktemp -- "$path.XXXXXX")
  cat >"$fresh"
  chmod "$mode" -- "$fresh"
  [[ -s $fresh ]] || { rm -- "$fresh" && return 1; }
  if cmp --silent -- "$fresh" "$path" 2>/dev/null; then
    rm -- "$fresh"
  else
    mv -- "$fresh" "$path"
  fi
}

# query NAME=VALUE...: the query string of a URL.
query() {
  /usr/bin/python3 -c 'import sys, urllib.parse
print(urllib.parse.urlencode([tuple(pair.split("=", 1)) for pair in sys.argv[1:]]))' "$@"
}

# port NAME: a free loopback port, chosen once and kept. Below the ephemeral range, so
# that no outgoing connection can take it while the service is down.
port() {
  local file=$STATE/port/$1
  if [[ ! -s $file ]]; then
    mkdir -p -- "$STATE/port"
    /usr/bin/python3 - "$STATE/port" <<'PY' | write_if_changed "$file" 644
import pathlib
import random
import socket
import sys

taken = {int(path.read_text() or 0) for path in pathlib.Path(sys.argv[1]).glob("*")}
for port in random.sample(range(20000, 32000), 2000):
    if port in taken:
        continue
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(port)
        break
PY
  fi
  cat -- "$file"
}
