#!/bin/bash
# The rehearsal: the new release alone, on a copy of the data, with no network, asked every check before any user meets it.
# shellcheck shell=bash disable=SC2154

rehearse_migrate() {
  local schema
  if [[ -x $folder/.understudy/hooks/migrate ]]; then
    in_sandbox copy "$folder/.understudy/hooks/migrate" ||
      fail migrate-failed "The hook migrate ended with code $? on the copy; the live data is untouched."
  else
    note 'no hook'
  fi
  schema=$(schema_below "$app-rehearse" "$copy")
  keep_fact schema-after "$schema"
}

rehearse() {
  local began
  load_environment
  began=$(uptime_ms)
  if has_socket; then systemctl start "$app-rehearse@$short.socket"; fi
  systemctl start --no-block "$app-rehearse@$short.service"
  await_healthy rehearsal "$app-rehearse@$short.service" "$(start_timeout_ms)"
  keep_fact load-ms "$(($(uptime_ms) - began))"
  check_by_hook
  stop_rehearsal
  remove_copy
}

# What a list of checks cannot say, the app asks itself.
check_by_hook() {
  if [[ -x $folder/.understudy/hooks/check ]]; then
    in_sandbox check "$folder/.understudy/hooks/check" ||
      fail check-failed "The hook check ended with code $? in the rehearsal."
  fi
}

stop_rehearsal() {
  stop_units "$app-rehearse@$short.socket" "$app-rehearse@$short.service"
}

load_environment() {
  "$installed/environment" "$app" || note 'Parameter Store did not answer: the environment is as it was'
}
