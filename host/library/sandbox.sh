#!/bin/bash
# Runs what a release brings along (its hooks) with no more than it needs.
# shellcheck shell=bash disable=SC2154

# Runs a command of the release or on it: in_sandbox build|copy|live COMMAND...  It dies with the operation's unit.
in_sandbox() {
  local where=$1 seconds code=0
  local -a properties
  shift
  seconds=$(($(time_left_ms) / 1000 + 1))
  properties=(BindsTo="$unit" After="$unit" RuntimeMaxSec="$seconds" KillMode=control-group NoNewPrivileges=yes
    PrivateTmp=yes PrivateDevices=yes ProtectSystem=strict ProtectHome=yes RestrictSUIDSGID=yes WorkingDirectory="$folder"
    Environment="UNDERSTUDY_APP=$app UNDERSTUDY_ENVIRONMENT=$environment UNDERSTUDY_RELEASE=$short UNDERSTUDY_SHARED=$home/shared")
  case $where in
  build)
    properties+=(User=understudy-build ReadWritePaths="$folder" InaccessiblePaths="$home/shared")
    ;;
  copy)
    properties+=(User="$app-rehearse" PrivateNetwork=yes BindPaths="$copy:$home/shared" ReadWritePaths="$home/shared"
      EnvironmentFile="-$runtime/env" Environment=UNDERSTUDY_REHEARSAL=1)
    ;;
  live)
    properties+=(User="$(setting user)" ProtectSystem=full ProtectHome=no PrivateTmp=no EnvironmentFile="-$runtime/env")
    ;;
  esac
  systemd-run --quiet --wait --pipe --collect --service-type=exec "${properties[@]/#/--property=}" "$@" || code=$?
  return "$code"
}
