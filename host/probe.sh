#!/bin/bash
# Tells the host's state for an app, and of one operation; it changes nothing.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/guard.sh
# include library/release.sh
# include library/health.sh
# include library/switch.sh

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

# Whether the live release holds the public port and answers its checks there now.
is_healthy() { [[ -z $(process_problem public "$app@$1.service") ]] && answers_now public "$1"; }

probe() {
  local live commit='' digest='' healthy=false fence=0 about='{}' running
  live=$(live_release)
  # What the runner compares with the commit that it is to deploy (attack 16).
  if [[ -f $state/releases/$live.json ]]; then
    IFS=, read -r commit digest < <(jq -r '"\(.commit // ""),\(.release // "")"' "$state/releases/$live.json")
  fi
  if [[ -n $live ]] && is_healthy "$live"; then healthy=true; fi
  [[ ! -f $state/fence ]] || fence=$(jq .fence "$state/fence")
  running=$(running_operation)
  # Asked about none, it tells of the last one that ended here: its own run may never have heard.
  if [[ $about_operation == none ]]; then about_operation=$(cat "$state/last" 2>/dev/null || echo none); fi
  [[ $about_operation == none ]] || about=$(tell_about "$about_operation")
  tell_only 'done' probed "${live:-no release} is live${running:+; $running is at work}." "$(jq -nc \
    --arg instance "$(setting instance)" --arg live "$live" --arg commit "$commit" --arg digest "$digest" --argjson healthy "$healthy" --argjson fence "$fence" \
    --arg socket "$(unit_state "$app.socket" ActiveState)" --arg running "$running" --argjson about "$about" \
    '{$instance, $live, $commit, $digest, $healthy, $socket, $fence, $running, $about}')"
}

# shellcheck disable=SC2154
about_operation=$about
# No operation is begun here, so a refusal is told at once.
refuse() { tell_only refused "$@"; }

check_host
probe
