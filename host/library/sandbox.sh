#!/bin/bash
# Runs what a release brings along (its hooks) with no more than it needs.
# shellcheck shell=bash disable=SC2154

hook_unit=understudy-$app-hook-$operation.service

# Runs a command of the release or on it: in_sandbox build|copy|check|scrub|live COMMAND...  It dies with the operation's unit.
in_sandbox() {
  local where=$1 seconds code=0
  local -a properties
  shift
  seconds=$(($(time_left_ms) / 1000 + 1))
  properties=(BindsTo="$unit" After="$unit" RuntimeMaxSec="$seconds" KillMode=control-group TimeoutStopSec=5 SendSIGKILL=yes
    NoNewPrivileges=yes
    PrivateTmp=yes PrivateDevices=yes ProtectSystem=strict ProtectHome=yes RestrictSUIDSGID=yes WorkingDirectory="$folder"
    Environment="UNDERSTUDY_APP=$app UNDERSTUDY_ENVIRONMENT=$environment UNDERSTUDY_RELEASE=$short UNDERSTUDY_SHARED=$home/shared")
  case $where in
  build)
    properties+=(User=understudy-build ReadWritePaths="$folder" InaccessiblePaths="$home/shared")
    ;;
  copy | check)
    properties+=(User="$app-rehearse" PrivateNetwork=yes BindPaths="$copy:$home/shared" ReadWritePaths="$home/shared"
      EnvironmentFile="-$runtime/env" Environment=UNDERSTUDY_REHEARSAL=1)
    ;;&
  check) # it reaches the release that is rehearsed: by its socket, or where it has none by its network
    properties+=(JoinsNamespaceOf="$app-rehearse@$short.service" Environment="PORT=$(setting port)")
    if has_socket; then properties+=(Environment="UNDERSTUDY_SOCKET=$runtime/rehearse-$short.sock"); fi
    ;;
  scrub)
    properties+=(User="$(setting user)" PrivateNetwork=yes ReadWritePaths="$home/shared")
    ;;
  live)
    properties+=(User="$(setting user)" ProtectSystem=full ProtectHome=no PrivateTmp=no EnvironmentFile="-$runtime/env")
    ;;
  esac
  stop_hook_on_request "$where" >/dev/null 2>&1 9>&- &
  systemd-run --quiet --unit="$hook_unit" --wait --pipe --collect --service-type=exec "${properties[@]/#/--property=}" "$@" || code=$?
  kill "$!" 2>/dev/null || true # it has ended by itself where it had nothing to wait for
  # One that was ended by its limit or on request did not fail by itself.
  ((code == 0)) || tell_limit "$where" "${1##*/}"
  return "$code"
}

# Not one that changes live data: that is a safe point only once it has ended.
stop_hook_on_request() {
  [[ $1 != live ]] || return 0
  while [[ ! -e $journal/cancel ]]; do sleep 0.5; done
  systemctl stop "$hook_unit"
}

tell_limit() {
  if [[ $1 != live && -e $journal/cancel ]]; then safe_point; fi
  (($(time_left_ms) > 0)) || fail timed-out "The operation's time of $work_seconds s was over, and $2 was ended."
}

# Ends what is left of a hook, however it clings: dead operations leave it the time of its SIGTERM. False while it runs.
stop_hook() {
  systemctl stop "$hook_unit" 2>/dev/null || true
  ! is_running "$hook_unit"
}
