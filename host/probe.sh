#!/bin/bash
# Tells the host's state for an app, and of one operation; it changes nothing.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/guard.sh
# include library/release.sh
# include library/health.sh

action=probe

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

# Whether the live release answers its checks on the public port now.
is_healthy() {
  local live=$1 check path seconds answer main port
  main=$(unit_state "$app@$live.service" MainPID)
  ((${main:-0} > 0)) || return 1
  [[ $(readlink "/proc/$main/cwd")/ == "$home/releases/$live"/* ]] || return 1
  port=$(setting port)
  while IFS= read -r check; do
    path=$(jq -r .path <<<"$check")
    seconds=$(jq -r '(.timeout_ms // 5000) / 1000' <<<"$check")
    answer=$(as_user "$(setting user)" curl -q --silent --globoff --path-as-is --proto =http --noproxy '*' --output /dev/null \
      --max-time "$seconds" --header 'Host: localhost' --write-out '%{http_code} %{content_type}' "http://127.0.0.1:$port$path") || return 1
    jq -e --arg answer "$answer" '($answer | split(" ")) as [$status, $type]
      | ($status | tonumber) == (.status // 200)
        and (.type == null or ($type | split(";")[0] | ascii_downcase) == (.type | ascii_downcase))' <<<"$check" >/dev/null || return 1
  done < <(jq -c '.checks[]?' "$home/releases/$live/.understudy/release.json")
}

probe() {
  local live commit='' healthy=false fence=0 about='{}' running
  live=$(live_release)
  # What the runner compares with the commit that it is to deploy (attack 16).
  [[ ! -f $state/releases/$live.json ]] || commit=$(jq -r '.commit // ""' "$state/releases/$live.json")
  if [[ -n $live ]] && is_healthy "$live"; then healthy=true; fi
  [[ ! -f $state/fence ]] || fence=$(jq .fence "$state/fence")
  running=$(running_operation)
  [[ $about_operation == none ]] || about=$(tell_about "$about_operation")
  tell_only 'done' probed "${live:-no release} is live${running:+; $running is at work}." "$(jq -nc \
    --arg instance "$(setting instance)" --arg live "$live" --arg commit "$commit" --argjson healthy "$healthy" --argjson fence "$fence" \
    --arg socket "$(unit_state "$app.socket" ActiveState)" --arg running "$running" --argjson about "$about" \
    '{$instance, $live, $commit, $healthy, $socket, $fence, $running, $about}')"
}

# shellcheck disable=SC2154
about_operation=$about
if [[ ! -f $settings ]]; then
  tell_only refused not-prepared "This host was never prepared for $app: an operator sends the document $app-prepare-host."
elif [[ $(setting environment) != "$environment" ]]; then
  tell_only refused wrong-host "This host was prepared for $app in $(setting environment), not in $environment."
fi
probe
