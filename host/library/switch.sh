#!/bin/bash
# Exchanging one release for another on the public socket: overlap, pause or restart.
# shellcheck shell=bash disable=SC2154

stop_units() { # in this order: a socket before its service, or a waiting request starts it again (attack 2)
  local one
  for one in "$@"; do systemctl stop "$one" 2>/dev/null || true; done
  systemctl reset-failed "$@" 2>/dev/null || true
}

stop_release() {
  local door='' waker
  if has_socket; then
    # By a name of our own for its probe, which goes with the probe's socket; one that is not up has none.
    door=$(probe_path "$app@$1.service")
    ln -f "$door" "$door.last" 2>/dev/null || door=''
    stop_units "$app-probe@$1.socket"
  fi
  if [[ -n $door ]]; then
    as_user "$(setting user)" "$installed/wake" "$door.last" >/dev/null 2>&1 &
    waker=$!
  fi
  stop_units "$app@$1.service"
  if [[ -n $door ]]; then
    kill "$waker" 2>/dev/null || true # it has ended by itself, for nobody listens any more
    rm -f "$door.last"
  fi
}

# Also of one that is up, or is being stopped: a socket does not start beside its service, so that stops first.
open_probe() {
  systemctl --quiet is-active "$app-probe@$1.socket" || {
    systemctl stop "$app@$1.service"
    systemctl start "$app-probe@$1.socket"
  }
}

start_release() {
  if has_socket; then open_probe "$1"; fi
  systemctl reset-failed "$app@$1.service" 2>/dev/null || true
  systemctl start --no-block "$app@$1.service"
}

start_workers() {
  local worker
  for worker in $(setting workers); do systemctl start --no-block "$app-worker@$worker.service"; done
}

stop_workers() {
  local worker
  for worker in $(setting workers); do systemctl stop "$app-worker@$worker.service"; done
}

hold() {
  local previous
  previous=$(fact previous)
  if has_socket; then open_probe "$short"; fi # before anybody waits
  keep_fact held "$(uptime_ms)"
  if has_socket; then
    systemctl start "$app-pause.service"
  else
    # Where the old release still has one: the new one binds the port itself.
    stop_units "$app-probe@*.socket" "$app.socket"
  fi
  if [[ -n $previous ]]; then stop_release "$previous"; fi
}

# How this operation switches: by pause also where there is no memory for two releases.
manner() { if has_fact memory-short; then echo pause; else setting switch; fi; }

switch() {
  case $(manner) in
  overlap) switch_by_overlap ;;
  pause) switch_by_pause ;;
  restart) expose ;;
  esac
}

# From here on users may meet the new release.
expose() {
  keep_fact exposed "$(uptime_ms)"
  start_new
}

start_new() {
  start_release "$short"
  await_process public "$app@$short.service" "$(($(uptime_ms) + $(start_timeout_ms)))"
}

switch_by_overlap() {
  expose
  await_healthy probe "$app@$short.service" "$(start_timeout_ms)"
  keep_restarts
  systemctl stop "$app-pause.service"
  if [[ -n $(fact previous) ]]; then stop_release "$(fact previous)"; fi
}

# The new release has the port's socket, but whoever comes waits with the holder until the probe has answered.
switch_by_pause() {
  if users_wait_apart; then start_new; else expose; fi
  await_healthy probe "$app@$short.service" "$(start_timeout_ms)"
  keep_restarts
  keep_fact answered "$(uptime_ms)"
  has_fact exposed || keep_fact exposed "$(uptime_ms)"
  systemctl stop "$app-pause.service"
}

# False when users wait at the port itself, who then meet whatever starts: an old release that hung did not fetch them.
users_wait_apart() {
  local waiting
  waiting=$(ss --no-header --listening --tcp --numeric --processes "sport = :$(setting port)" | awk '/"systemd"/ {print $2}')
  systemctl --quiet is-active "$app-pause.service" && [[ $waiting == 0 ]]
}

# True when no other release's unit is up, now and after the given seconds; stops those that are.
settle() {
  local keep=$1 seconds=$2 tries=0 other
  while ((tries++ < 4)); do
    while IFS= read -r other; do stop_release "$other"; done < <(other_releases "$keep")
    sleep "$seconds"
    if [[ -z $(other_releases "$keep") ]]; then return 0; fi
  done
  return 1
}

# be_alone SECONDS: settled with our release, or the step has failed.
be_alone() {
  settle "$short" "$1" ||
    fail switch-failed "Release $(other_releases "$short" | head -n 1)'s unit keeps coming up beside $short."
}

other_releases() {
  local name
  systemctl list-units --all --plain --no-legend --state=active,activating,reloading,deactivating "$app@*.service" |
    while read -r name _; do
      name=$(behind_at "$name")
      [[ $name == "$1" ]] || printf '%s\n' "$name"
    done
}

# Overlap: the old one comes up beside the new one before that stops; else the holder keeps the port meanwhile.
take_public_back() {
  local previous=$1 until
  if has_socket && [[ -z $previous || $(manner) == pause ]]; then systemctl start "$app-pause.service"; fi
  if [[ -n $previous && $(manner) == overlap ]]; then
    start_release "$previous"
    until=$(($(uptime_ms) + $(start_timeout_ms "$previous")))
    while [[ -n $(process_problem public "$app@$previous.service") ]] || ! answers_now probe "$previous"; do
      (($(uptime_ms) < until)) || break
      sleep 0.2
    done
  fi
  stop_release "$short"
}

stop_holder() {
  if has_socket; then systemctl stop "$app-pause.service" 2>/dev/null || true; fi
}

# The new release where its users are.
check_public() {
  await_healthy public "$app@$short.service" "$(start_timeout_ms)"
  has_fact answered || keep_fact answered "$(uptime_ms)"
  be_alone 0
  keep_restarts
  keep_fact checked yes
}

# For how long users waited, and for how long the app was down: two numbers, in milliseconds.
users_times() {
  local held answered spent=0
  held=$(fact held)
  answered=$(fact answered)
  if [[ -n $held ]]; then spent=$((${answered:-$(uptime_ms)} - held)); fi
  ((spent >= 0)) || spent=0 # a boot lies in between
  if has_socket; then echo "$spent 0"; else echo "0 $spent"; fi
}
