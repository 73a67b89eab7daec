#!/bin/bash
# Tells the host's state for an app, and of one operation; it changes nothing.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/guard.sh
# include library/release.sh
# include library/data.sh
# include library/health.sh
# include library/soak.sh

action=probe
excerpts=off # no answer is told, only whether it was right

# What is known of operation ABOUT, from its journal alone.
tell_about() {
  local of=$state/operations/$1 told=unknown step='' line=null
  journal=$of
  if is_running "understudy-$app-$1.service"; then
    told=running
  elif [[ -f $of/line ]]; then
    told=ended
  elif [[ -f $of/journal.jsonl ]]; then
    told=interrupted
  fi
  step=$(journal_lines | jq -rn '[inputs | select(.event == "started") | .step] | last // ""')
  [[ ! -f $of/line ]] || line=$(jq -c '.sentence |= .[0:300]' "$of/line")
  jq -nc --arg operation "$1" --arg state "$told" --arg step "$step" --argjson result "$line" \
    '{$operation, $state, $step} + (if $result == null then {} else {$result} end)'
}

# The newest releases that were live here before, and whether the live data has the schema that each ran on last.
tell_kept() { # LIVE
  local record deployed name known now count=0
  while read -r deployed name; do
    record=$state/releases/$name.json
    [[ $name != "$1" && $deployed != 0 && -f $state/releases/$name.description.json ]] || continue
    ((count++ < 4)) || break
    known=$(jq -r '.schema // ""' "$record")
    now=$(short=$name schema_below "$(setting user)" "$home/shared") || now=unreadable
    jq -c --argjson fits "$([[ -n $known && $now == "$known" ]] && echo true || echo false)" \
      '{release, commit: (.commit // "" | .[0:40]), deployed, $fits}' "$record"
  done < <(releases_by_age) | jq -cs .
}

# What was asked for beside the state: none, kept, or a release whose time in health is wanted.
tell_asked() { # LIVE DIGEST HEALTHY
  case $ask in
  none) echo '{}' ;;
  kept) jq -nc --argjson kept "$(tell_kept "$1")" --argjson rows "$(live_rows "$1")" '{$kept, $rows}' ;;
  *) jq -nc --argjson soak "$(soak_of "$ask" "$2" "$3")" --argjson now "$(date +%s)" '{$soak, $now}' ;;
  esac
}

probe() {
  local live commit='' digest='' healthy=false fence=0 about='{}' running asked
  live=$(live_release)
  # What the runner compares with the commit that it is to deploy (attack 16).
  if [[ -f $state/releases/$live.json ]]; then
    IFS=, read -r commit digest < <(jq -r '"\(.commit // ""),\(.release // "")"' "$state/releases/$live.json")
  fi
  if [[ -n $live && -z $(public_problem "$live") ]]; then healthy=true; fi
  [[ ! -f $state/fence ]] || fence=$(jq .fence "$state/fence")
  running=$(running_operation)
  # Asked about none, it tells of the last one that ended here: its own run may never have heard.
  if [[ $about_operation == none ]]; then about_operation=$(cat "$state/last" 2>/dev/null || echo none); fi
  [[ $about_operation == none ]] || about=$(tell_about "$about_operation")
  asked=$(tell_asked "$live" "$digest" "$healthy")
  tell_only 'done' probed "${live:-no release} is live${running:+; $running is at work}." "$(jq -nc \
    --arg instance "$(setting instance)" --arg live "$live" --arg commit "$commit" --arg digest "$digest" --argjson healthy "$healthy" --argjson fence "$fence" \
    --arg socket "$(unit_state "$app.socket" ActiveState)" --arg running "$running" --argjson about "$about" --argjson asked "$asked" \
    '{$instance, $live, $commit, $digest, $healthy, $socket, $fence, $running, $about} + $asked')"
}

# shellcheck disable=SC2154
about_operation=$about
# No operation is begun here, so a refusal is told at once.
refuse() { tell_only refused "$@"; }

check_host
probe
