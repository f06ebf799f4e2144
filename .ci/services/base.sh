# The base image of the tests: the machine's own release with Python, in both registries.

. /etc/os-release
BASE_REPOSITORY=aweigh/base
BASE_TAG=$VERSION_CODENAME-python
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt

# The public archives, never the machine's own package configuration.
apt_sources() {
  local suite=$VERSION_CODENAME
  case $ID in
    debian)
      printf '%s\n' \
        "deb http://deb.debian.org/debian $suite main" \
        "deb http://deb.debian.org/debian $suite-updates main" \
        "deb http://deb.debian.org/debian-security $suite-security main"
      ;;
    ubuntu)
      printf '%s\n' \
        "deb http://archive.ubuntu.com/ubuntu $suite main universe" \
        "deb http://archive.ubuntu.com/ubuntu $suite-updates main universe" \
        "deb http://security.ubuntu.com/ubuntu $suite-security main universe"
      ;;
    *) fail "no base image for $ID" "run it on Debian or Ubuntu" ;;
  esac
}

# A changed recipe or CA bundle gives another name, and so a new image.
base_tarball() {
  local recipe
  recipe=$(cat "$SERVICES/base.sh" "$CA_BUNDLE" | sha256sum)
  printf '%s/base/%s-%s.tar\n' "$STATE" "$BASE_TAG" "${recipe:0:12}"
}

build_base() {
  local tarball log=$STATE/log/base.log options=(--variant=minbase --mode=root) path
  tarball=$(base_tarball)
  [[ ! -s $tarball ]] || return 0
  step "building the base image ($ID $VERSION_CODENAME)"
  mkdir -p -- "$STATE/base"
  for path in /usr/share/{doc,man,info,locale,lintian,groff}/\*; do
    options+=("--dpkgopt=path-exclude=$path")
  done
  # A frozen mirror's Release files are past their date, in the image as on the machine.
  if apt-config dump Acquire::Check-Valid-Until | grep --quiet '"\(false\|no\|0\)"'; then
    options+=('--aptopt=Acquire::Check-Valid-Until "false"')
  fi
  options+=('--aptopt=Acquire::Languages "none"')
  # Otherwise the merge of /usr is left to a package that needs all of Perl.
  path=/usr/share/mmdebstrap/hooks/maybe-merged-usr
  [[ ! -d $path ]] || options+=("--hook-dir=$path")
  for path in /usr/local/share/ca-certificates/*.crt; do
    [[ ! -e $path ]] || options+=("--customize-hook=upload '$path' '$path'")
  done
  apt_sources | mmdebstrap "${options[@]}" \
    --include=python3,python3-venv,ca-certificates \
    --customize-hook="upload $CA_BUNDLE $CA_BUNDLE" \
    --customize-hook='rm -rf "$1"/var/cache/debconf/*-old "$1"/var/log/*' \
    "$VERSION_CODENAME" "$tarball.new.tar" - >"$log" 2>&1 ||
    fail "mmdebstrap failed" "check that this machine reaches its package archive" "$log"
  find "$STATE/base" -name '*.tar' ! -name '*.new.tar' -delete
  mv -- "$tarball.new.tar" "$tarball"
}

open_base() { printf '127.0.0.1:%s/%s\n' "$(port registry-open)" "$BASE_REPOSITORY"; }
secure_base() { printf '127.0.0.1:%s/%s\n' "$(port registry-secure)" "$BASE_REPOSITORY"; }

manifest_path() { printf 'v2/%s/manifests/%s\n' "$BASE_REPOSITORY" "$BASE_TAG"; }
MANIFEST_TYPES='Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json'

base_is_open() {
  open_curl --fail --head "http://127.0.0.1:$(port registry-open)/$(manifest_path)"
}
base_is_secure() {
  secure_curl --fail --head --header "$MANIFEST_TYPES" \
    "https://127.0.0.1:$(port registry-secure)/$(manifest_path)"
}
base_is_local() {
  engine_curl --fail "http://engine/images/$(open_base):$BASE_TAG/json"
}
open_curl() { local_curl --header "$MANIFEST_TYPES" "$@"; }

base_is_published() {
  [[ $(cat "$STATE/base/published" 2>/dev/null) == "$(base_tarball)" ]] &&
    { base_is_open && base_is_secure && base_is_local; } >/dev/null 2>&1
}

# Through the API: a newer docker command may refuse to talk to an older engine.
publish_base() {
  local log=$STATE/log/base.log anonymous=e30= import
  base_is_published && return
  step "publishing the base image"
  rm -f -- "$STATE/base/published"
  import=$(query fromSrc=- "repo=$(open_base)" "tag=$BASE_TAG" \
    "changes=ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    "changes=ENV SSL_CERT_FILE=$CA_BUNDLE" 'changes=CMD ["bash"]')
  engine_curl --fail --max-time 180 --request POST --upload-file "$(base_tarball)" \
    --header 'Content-Type: application/x-tar' \
    "http://engine/images/create?$import" >>"$log" 2>&1 && base_is_local >/dev/null 2>&1 ||
    fail "the engine did not import the base image" "see also log/engine.log" "$log"
  engine_curl --fail --max-time 180 --request POST \
    --header "X-Registry-Auth: $anonymous" \
    "http://engine/images/$(open_base)/push?tag=$BASE_TAG" >>"$log" 2>&1 &&
    base_is_open >/dev/null 2>&1 ||
    fail "the engine did not push the base image" "see also log/registry-open.log" "$log"
  skopeo copy --insecure-policy --src-tls-verify=false --dest-cert-dir "$STATE/tls/client" \
    --dest-authfile "$STATE/secret/docker-config.json" \
    "docker://$(open_base):$BASE_TAG" "docker://$(secure_base):$BASE_TAG" >>"$log" 2>&1 &&
    base_is_secure >/dev/null 2>&1 ||
    fail "the base image did not reach the secure registry" "see the log" "$log"
  base_tarball >"$STATE/base/published"
}
