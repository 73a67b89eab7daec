#!/bin/bash
# A copy of another machine that is to serve another environment: what it knows of people and of its former environment goes
# before anything starts on it (attacks 15, 25 and 26).
# shellcheck shell=bash disable=SC2154

# Where data came from that was not scrubbed yet; a drill host may hold it.
unscrubbed=$state/unscrubbed

# Whether the settings are another machine's. Until the new ones are laid, which is after the data was scrubbed.
is_copy() { [[ -f $settings && $(setting instance) != "$this_instance" ]]; }

# The environment that the data here is of, where that may not be this one's; nothing, where the machine was always ours.
origin() { if [[ -f $unscrubbed ]]; then cat "$unscrubbed"; elif is_copy; then setting environment; fi; }

has_origin() { [[ -n $(origin) ]]; }

must_scrub() { [[ ${scrub:-required} == required && $environment != drill && $(origin) != "$environment" ]]; }

check_origin() {
  if has_origin && must_scrub && [[ ! -x $folder/.understudy/hooks/scrub ]]; then
    refuse scrub-missing "This machine holds the data of $app in $(origin), and its release ${short:-none} has no hook scrub that makes them fit for $environment. Deploy one that has to $(origin) and make a new image; or send scrub=none, where these very data may be used in $environment."
  fi
}

lay_aside() {
  stop_everything
  set_aside
  keep_fact changed "$unenrolled"
}

scrub_data() {
  local from
  from=$(origin)
  if must_scrub; then
    stop_everything
    is_unenrolled || lay_to_rest copy # a drill host's data: nothing starts before it is done
    in_sandbox scrub "$folder/.understudy/hooks/scrub" || fail scrub-failed "The hook scrub ended with code $?: nothing of $app starts on this machine before it has succeeded."
    remove_former
    keep_fact scrubbed "$from"
    rm -f "$unscrubbed"
  elif [[ $environment == drill ]]; then
    printf '%s\n' "$from" | write_whole "$unscrubbed"
    note "not scrubbed: the data are those of $from"
  else
    rm -f "$unscrubbed"
    note "not scrubbed"
  fi
  if [[ $environment != "$from" ]]; then disable_clockwork; fi
}

# Copies of the former environment's data, and what its app said.
remove_former() {
  rm -rf --one-file-system "$state"/{backups,copies,rehearsal,restoring,parameters} "$state"/was-* "$home/shared/.understudy-aside"
  find "$state/operations" -mindepth 1 -maxdepth 1 ! -name "$operation" -exec rm -rf {} +
  journalctl --quiet --rotate --vacuum-time=1s || true # a journal in memory has nothing to rotate
  find /var/log/journal -mindepth 1 -maxdepth 1 ! -name "$(</etc/machine-id)" -exec rm -rf {} + 2>/dev/null || true # it may not be there
}

# What the former environment ran by the clock stays off, also after a boot.
disable_clockwork() {
  local one names=()
  while IFS= read -r one; do
    systemctl --quiet is-enabled "$one" 2>/dev/null || continue
    systemctl --quiet disable "$one"
    names+=("$one")
  done < <(clockwork)
  [[ ${#names[@]} == 0 ]] || keep_fact disabled "${names[*]}"
}

tell_scrubbed() {
  if has_fact scrubbed; then printf ' The data of %s that it held were scrubbed.' "$(fact scrubbed)"; fi
  if has_fact disabled; then printf ' What ran by the clock was disabled: %s.' "$(fact disabled)"; fi
}
