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
  await_environment
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

# Parameter Store takes as long to ask as a release to be fetched: it is asked meanwhile.
begin_environment() {
  rm -f "$journal/environment"
  { if "$installed/environment" "$app" >&2; then echo loaded; else echo failed; fi >"$journal/environment"; } 9>&- &
}

await_environment() {
  until [[ -s $journal/environment ]] || (($(time_left_ms) <= 0)); do sleep 0.05; done
  [[ $(cat "$journal/environment") == loaded ]] || note 'Parameter Store did not answer: the environment is as it was'
}
