# The S3 API of the tests: moto's server in its own virtual environment, one bucket.

MOTO=5.2.5

install_objects() {
  local venv=$STATE/venv-$MOTO log=$STATE/log/moto-install.log
  [[ ! -e $venv/complete ]] || return 0
  step "installing moto $MOTO"
  rm -rf -- "$venv"
  # A version manager's python3 may come and go, or lack venv.
  { /usr/bin/python3 -m venv "$venv" &&
    "$venv/bin/python" -m pip install --quiet "moto[server]==$MOTO"; } >"$log" 2>&1 ||
    fail "moto could not be installed" "check that pip reaches a package index" "$log"
  : >"$venv/complete"
}

bucket_url() { printf 'http://127.0.0.1:%s/%s\n' "$(port s3)" "$S3_BUCKET"; }
bucket_answers() { local_curl --fail --head "$(bucket_url)"; }
make_bucket() { local_curl --fail --request PUT "$(bucket_url)"; }

# moto keeps buckets in memory only: a restart means an empty one.
start_objects() {
  is_running s3 && bucket_answers >/dev/null 2>&1 && return
  stop s3
  step "starting the S3 server"
  start s3 "$STATE/log/s3.log" "$STATE/venv-$MOTO/bin/moto_server" \
    --host 127.0.0.1 --port "$(port s3)"
  wait_healthy s3 30 make_bucket ||
    fail "the S3 server does not answer on 127.0.0.1:$(port s3)" \
      "if the port is taken: .ci/teardown --purge chooses new ones" "$STATE/log/s3.log"
}
