#!/bin/bash
# Asks operation ABOUT to stop at its next safe point. Killing its watcher would not: the unit does the work.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/guard.sh

action=cancel
asked=$state/operations/$about

# No operation is begun here, so a refusal is told at once.
refuse() { tell_only refused "$@"; }

check_host
if [[ -f $asked/line ]]; then
  tell_only unchanged already-ended "Operation $about has ended: $(jq -r '"\(.result), \(.reason)"' "$asked/line")."
fi
# Also before it has begun: a command that is delivered late then stops at its first step.
install -d -m 0700 "$state/operations" "$asked"
printf '%s\n' "$operation" | write_whole "$asked/cancel"
tell_only 'done' cancel-requested "Operation $about stops at its next safe point; after its switch has begun it is carried to its end."
