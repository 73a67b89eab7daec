#!/bin/bash
# Whether this host may be worked on at all: the right app, environment and instance, a fresh fencing number, an open socket.
# shellcheck shell=bash disable=SC2154

check_host() {
  local instance
  [[ -f $settings ]] ||
    refuse not-prepared "This host was never prepared for $app: an operator sends the document $app-prepare-host."
  [[ $(setting environment) == "$environment" ]] ||
    refuse wrong-host "This host was prepared for $app in $(setting environment), not in $environment."
  instance=$(instance_id) || refuse wrong-host 'The instance metadata does not answer, so this host cannot be told.'
  [[ $instance == "$(setting instance)" ]] ||
    refuse wrong-host "This host is $instance, but was prepared as $(setting instance): enrol it with $app-prepare-host."
}

# The fencing number belongs to environment and instance: a machine made from an image starts anew (attack 26).
check_fence() {
  local seen=0
  if [[ -f $state/fence ]]; then
    seen=$(jq -r --arg environment "$environment" --arg instance "$(setting instance)" \
      'if .environment == $environment and .instance == $instance then .fence else 0 end' "$state/fence")
  fi
  ((fence >= seen)) ||
    refuse stale-fence "This command carries fencing number $fence, but $seen was seen: a newer holder has the lease."
  jq -nc --arg environment "$environment" --arg instance "$(setting instance)" --argjson fence "$fence" \
    '{$environment, $instance, $fence}' | write_whole "$state/fence"
}

check_socket() {
  [[ ! -f $state/unenrolled ]] || refuse not-enrolled "This machine is retired: nothing of $app runs on it before an operator sends $app-prepare-host."
  if has_socket && ! systemctl --quiet is-active "$app.socket"; then
    refuse socket-inactive "$app.socket is $(unit_state "$app.socket" ActiveState), so the port is closed$(tell_thief): an operator sends $app-prepare-host, which opens it."
  fi
}

tell_thief() {
  local port holder
  port=$(setting port)
  holder=$(holder_of "$port")
  if [[ -n $holder ]]; then printf ' (port %s is held by %s)' "$port" "${holder#users:}"; fi
}

# Units and programs that prepare-host laid, and that a switch needs half-way.
check_units() {
  local name units=("$app@.service" "$app-rehearse@.service" "$app-worker@.service" "understudy-recover@.service" "understudy-boot@.service")
  if has_socket; then
    units+=("$app.socket" "$app-pause.service" "$app-probe@.socket" "$app-rehearse@.socket")
  fi
  for name in "${units[@]/#//etc/systemd/system/}" "$installed"/{boot,recover,environment,hold} /etc/systemd/system-generators/understudy; do
    [[ -e $name ]] || refuse not-prepared "$name is missing on this host: an operator sends $app-prepare-host, which lays it down."
  done
}

# What keeps the app from the instance's role (attack 12).
check_firewall() {
  if [[ -x $installed/firewall ]] && ! "$installed/firewall" check; then
    refuse not-prepared "The rule that keeps the metadata from all but root is not in force: an operator sends $app-prepare-host, which lays it down."
  fi
}

# Folder and unit have 12 digits of the release's 64: another release may have the same.
check_digits() {
  local found
  [[ -f $state/releases/$short.json ]] || return 0
  found=$(jq -r .release "$state/releases/$short.json")
  [[ $found == "$release" ]] || refuse bad-digest "Release $found is on this host, whose first 12 digits are those of $release."
}

take_lock() {
  check_host
  check_units
  check_firewall
  check_digits
  check_fence
  check_socket
}

# A recovery or a backup that is at work is waited for; another operation is not.
take_host() { lock_host 0 || lock_host "$(patience)"; }

patience() {
  local holder
  holder=$(running_operation)
  if [[ -z $holder || -e $state/operations/$holder/waited-for ]]; then echo 90; else echo 0; fi
}
