#!/bin/bash
# What an operation tells in the end: the result line, the details, the log, with nothing secret in them.
# shellcheck shell=bash disable=SC2154

# Takes the values of the app's environment out of what leaves the host, literally. Values of fewer than 4
# characters stay: without them no text would be left.
# shellcheck disable=SC2016
redaction='
  def redacted: reduce ($values | add // [] | map(split("\n")[] | select(length >= 4)) | sort_by(-length)[]) as $value
    (.; split($value) | join("[redacted]"));'

# Which version each parameter had that the app runs with; never a value.
versions() { if [[ -s $runtime/versions.json ]]; then cat "$runtime/versions.json"; else echo '{}'; fi; }

values_file() { if [[ -s $runtime/values.json ]]; then echo "$runtime/values.json"; else echo /dev/null; fi; }

redact() { jq -Rrs --slurpfile values "$(values_file)" "$redaction redacted"; }

# Whether what the app said can be told without its secrets: after a boot their values may not have been read
# again. Where no release ran yet, there are none.
can_redact() {
  [[ -e $runtime/values.json ]] ||
    { [[ -z $(live_release) ]] && ! journal_lines | jq -en '[inputs.step] | index("rehearse-migrate")' >/dev/null; }
}

# Shortens the sentences of a result line until it takes at most 2,000 bytes of ASCII: SSM cuts at 2,500 (attack 8).
fit() {
  local line=$1 before
  while ((${#line} > 1980)); do
    before=$line
    line=$(jq -ac 'def shorter: if length > 20 then .[0:(length * 0.9 | floor) - 3] + "..." else . end;
      .sentence |= shorter | if .about.sentence? then .about.sentence |= shorter else . end' <<<"$line")
    [[ $line != "$before" ]] || break
  done
  printf '%s' "$line"
}

# Ends the operation: finish RESULT REASON SENTENCE [JSON of further fields]. What is too long for the line is an object
# in the file `further`. Redacted is what an app may have said;
# names, paths and ids stay as they are, whatever the app's environment holds.
# The `$` in single quotes are jq's.
# shellcheck disable=SC2016
finish() {
  local result=$1 reason=$2 sentence=$3 more=${4:-'{}'} digest='' told=on
  drop_ballast
  [[ -f $journal/excerpt ]] || : >"$journal/excerpt"
  if ! can_redact; then
    told=off
    sentence+=" The log stays on the host, because the values of the app's environment are not there to be taken out of it."
  fi
  if [[ ${excerpts:-on} == off ]]; then told=off; fi
  jq -nac --arg action "$action" --arg operation "$operation" --arg result "$result" --arg reason "$reason" \
    --arg instance "$(setting instance)" --arg sentence "$sentence" --argjson more "$more" \
    --slurpfile values "$(values_file)" "$redaction"'
    {schema: 1, $action, $operation, $result, $reason, $instance} + $more
      + {sentence: ($sentence | redacted | gsub("\n"; " ") | .[0:1500])}' >"$journal/fields"
  jq -nac --slurpfile fields "$journal/fields" --slurpfile journal <(journal_lines) --arg told "$told" \
    --argjson parameters "$(versions)" --slurpfile checks <(whole_lines "$journal/checks.jsonl") --rawfile log "$journal/excerpt" \
    --slurpfile further <(cat "$journal/further" 2>/dev/null) --slurpfile values "$(values_file)" "$redaction"'
    $fields[0] + ($further[0] // {}) + {$parameters,
      steps: [range($journal | length) as $line | $journal[$line] | select(.event == "started") as $begun
        | [$journal[$line:][] | select(.event == "ended" and .step == $begun.step)][0] as $finish
        | {name: .step, started: .at, ended: ($finish.at // null), ok: ($finish.ok // false),
           note: ($finish.note // "" | redacted)}],
      checks: [$checks[] | (.body, .type, .problem) |= redacted | if $told == "off" then .body = "" else . end],
      log: (if $told == "off" then [] else $log | redacted | split("\n") | map(select(length > 0)) end)}' >"$journal/details"
  if [[ -f $settings ]]; then
    digest=$(upload_results) || digest=''
  fi
  fit "$(jq -ac --arg details "$digest" '. + {$details}' "$journal/fields")" | write_whole "$journal/line"
  say "$result $reason: $sentence"
  printf '%s' "${journal##*/}" >"$state/last"
}

# Both at once, since the runner waits for them. Prints the digest of the details when they were stored.
upload_results() {
  local key
  key=$app/$environment/$operation/$(setting instance)
  upload_log "$key" >/dev/null &
  # One key a run: a repeat of an operation that was not done leaves the first one's object as it is.
  if put_once "$journal/details" "results/$key.json" application/json; then
    sha256sum <"$journal/details" | cut -d ' ' -f 1
  fi
  wait
}

upload_log() {
  [[ -s $journal/log ]] && can_redact || return 0
  redact <"$journal/log" >"$journal/log.redacted"
  put_once "$journal/log.redacted" "logs/$1.log" text/plain || say 'The log could not be stored.'
  rm -f "$journal/log.redacted"
}

exit_code_of() {
  case $1 in
  done | unchanged) echo 0 ;;
  reverted) echo 1 ;;
  refused) echo 2 ;;
  failed) echo 3 ;;
  *) echo 4 ;;
  esac
}

# Prints a result line as the first of stdout and leaves. Never with 137, 168, 169 or 194: the agent reads those.
tell_and_exit() {
  printf 'UNDERSTUDY_RESULT %s\n' "$1"
  # Two words of ours.
  # shellcheck disable=SC2046
  exit "$(exit_code_of $(jq -r '.result, .reason' <<<"$1"))"
}

# A result without an operation: nothing was begun, nothing is kept.
tell_only() {
  tell_and_exit "$(fit "$(jq -nac --arg action "$action" --arg operation "$operation" --arg result "$1" --arg reason "$2" \
    --arg sentence "$3" --argjson more "${4:-"{}"}" \
    '{schema: 1, $action, $operation, $result, $reason} + $more + {$sentence, details: ""}')")"
}
