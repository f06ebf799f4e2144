# Two registries: "open" (plain HTTP, anonymous) and "secure" (TLS by our own CA, basic auth).
#
# docker-registry writes its access log to stdout in Apache's combined format, one line per
# answered request; everything else goes to stderr.

# Without a blob descriptor cache, what a test removes from the data is gone at once.
registry_config() {
  local name=$1
  cat <<YAML
version: 0.1
log:
  level: warn
  accesslog:
    disabled: false
storage:
  filesystem:
    rootdirectory: $STATE/data/registry-$name
  delete:
    enabled: true
http:
  addr: 127.0.0.1:$(port "registry-$name")
  secret: $(secret "registry-$name")
YAML
  [[ $name == secure ]] || return 0
  cat <<YAML
  tls:
    certificate: $STATE/tls/server.pem
    key: $STATE/tls/server.key
auth:
  htpasswd:
    realm: aweigh
    path: $STATE/conf/htpasswd
YAML
}

# secret NAME: random, made once, readable by root alone.
secret() {
  local file=$STATE/secret/$1
  if [[ ! -s $file ]]; then
    [[ -d $STATE/secret ]] || mkdir -m 700 -- "$STATE/secret"
    openssl rand -hex 16 | write_if_changed "$file" 600
  fi
  cat -- "$file"
}

make_certificates() {
  local tls=$STATE/tls log=$STATE/log/certificates.log
  [[ ! -s $tls/server.pem ]] || return 0
  mkdir -p -- "$tls"
  {
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=aweigh test CA" \
      -addext basicConstraints=critical,CA:TRUE \
      -addext keyUsage=critical,keyCertSign,cRLSign \
      -keyout "$tls/ca.key" -out "$tls/ca.pem"
    openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
      -keyout "$tls/server.key" -out "$tls/server.csr"
    openssl x509 -req -in "$tls/server.csr" -days 3650 -CA "$tls/ca.pem" \
      -CAkey "$tls/ca.key" -CAcreateserial -out "$tls/server.pem.new" -extfile <(
        printf '%s\n' subjectAltName=IP:127.0.0.1,DNS:localhost \
          basicConstraints=critical,CA:FALSE extendedKeyUsage=serverAuth
      )
  } >"$log" 2>&1 || fail "openssl could not make the test CA" "see the log" "$log"
  chmod 600 "$tls/ca.key" "$tls/server.key"
  mkdir -p -- "$tls/client"
  cp -- "$tls/ca.pem" "$tls/client/ca.crt"
  mv -- "$tls/server.pem.new" "$tls/server.pem"
}

make_credentials() {
  local password basic
  [[ ! -s $STATE/secure.netrc ]] || return 0
  password=$(secret secure-password)
  htpasswd -Bni "$SECURE_USERNAME" <<<"$password" 2>/dev/null |
    write_if_changed "$STATE/conf/htpasswd" 600
  basic=$(printf '%s:%s' "$SECURE_USERNAME" "$password" | base64 --wrap=0)
  printf '{"auths": {"127.0.0.1:%s": {"auth": "%s"}}}\n' "$(port registry-secure)" "$basic" |
    write_if_changed "$STATE/secret/docker-config.json" 600
  printf 'machine 127.0.0.1 login %s password %s\n' "$SECURE_USERNAME" "$password" |
    write_if_changed "$STATE/secure.netrc" 600
}

open_answers() { local_curl --fail "http://127.0.0.1:$(port registry-open)/v2/"; }
secure_answers() { secure_curl --fail "https://127.0.0.1:$(port registry-secure)/v2/"; }

start_registry() {
  local name=$1 service=registry-$1
  is_running "$service" && "${name}_answers" >/dev/null 2>&1 && return
  stop "$service"
  step "starting the $name registry"
  mkdir -p -- "$STATE/data/$service"
  registry_config "$name" | write_if_changed "$STATE/conf/$service.yml" 600
  start "$service" "$STATE/log/$service.access.log" \
    docker-registry serve "$STATE/conf/$service.yml"
  wait_healthy "$service" 15 "${name}_answers" ||
    fail "the $name registry does not answer on 127.0.0.1:$(port "$service")" \
      "if the port is taken: .ci/teardown --purge chooses new ones" \
      "$STATE/log/$service.log"
}

start_registries() {
  mkdir -p -- "$STATE/conf"
  make_certificates
  make_credentials
  start_registry open
  start_registry secure
}
