# Installs what the services need from the distribution, without starting any of it.

PACKAGES=(
  docker.io docker-registry skopeo umoci mmdebstrap apache2-utils openssl ca-certificates
  python3 python3-venv git make curl iproute2 procps zstd
  zsh fish # completion is tested by asking the shells
)
PACKAGED_UNITS=(docker.service docker.socket containerd.service docker-registry.service)
POLICY=/usr/sbin/policy-rc.d

missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    # Docker's own packages conflict with the distribution's, and their engine does too.
    [[ $package != docker.io ]] || ! command -v dockerd >/dev/null || continue
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      printf '%s\n' "$package"
  done
}

# Maintainer scripts ask policy-rc.d before they start a daemon: 101 forbids it.
forbid_service_starts() {
  [[ ! -e $POLICY || -e $STATE/policy-rc.d.saved ]] ||
    cp -a -- "$POLICY" "$STATE/policy-rc.d.saved"
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
  : >"$STATE/policy-rc.d.ours"
}

# Also undoes what an earlier, killed run left behind.
restore_service_starts() {
  [[ -e $STATE/policy-rc.d.ours ]] || return 0
  if [[ -e $STATE/policy-rc.d.saved ]]; then
    mv -f -- "$STATE/policy-rc.d.saved" "$POLICY"
  else
    rm -f -- "$POLICY"
  fi
  rm -f -- "$STATE/policy-rc.d.ours"
}

install_packages() {
  local log=$STATE/log/packages.log missing units=()
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  step "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update >"$log" 2>&1 ||
    fail "apt-get update failed" "check the network and /etc/apt, then run again" "$log"
  forbid_service_starts
  apt-get install --yes --no-install-recommends "${missing[@]}" >>"$log" 2>&1 ||
    fail "apt-get install failed" "repair it by hand (dpkg --configure -a), then run again" \
      "$log"
  restore_service_starts
  # Only units that came with this run: a Docker the owner already uses stays enabled.
  if command -v systemctl >/dev/null; then
    case " ${missing[*]} " in *" docker.io "*) units+=("${PACKAGED_UNITS[@]:0:3}") ;; esac
    case " ${missing[*]} " in *" docker-registry "*) units+=("${PACKAGED_UNITS[3]}") ;; esac
    ((!${#units[@]})) || systemctl disable --quiet "${units[@]}" >>"$log" 2>&1 || true
  fi
}
