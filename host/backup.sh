#!/bin/bash
# Backs up the data and the live code: copied under writes, proven, described, stored by a host that can only add. The
# manifest, written last, commits it. Nothing live is changed.
# shellcheck shell=bash disable=SC2154

# A schedule gives the same name each night: the watcher makes one of the minute, and the work has it from its folder.
if [[ $operation == scheduled ]]; then
  if [[ ${1:-watch} == watch ]]; then
    operation=scheduled-$(date -u +%Y%m%d%H%M)
  else
    operation=${0%/*}
    operation=${operation##*/}
  fi
fi

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/watch.sh
# include library/guard.sh
# include library/leftover.sh
# include library/data.sh
# include library/backup.sh

action=backup

# Each failure has its own.
exit_code_of() { # RESULT REASON
  case $2 in
  backed-up) echo 0 ;;
  busy) echo 10 ;;
  no-room) echo 11 ;;
  timed-out) echo 12 ;;
  backup-precondition) echo 13 ;;
  verification-failed) echo 14 ;;
  upload-failed) echo 15 ;;
  commit-failed) echo 16 ;;
  too-long-a-hold) echo 17 ;;
  cancelled) echo 18 ;;
  interrupted) echo 19 ;;
  *) if [[ $1 == refused ]]; then echo 2; else echo 3; fi ;;
  esac
}

# A backup changes nothing, and is wanted all the more where something could not be put right.
refuse_beside() { say "what $1 left could not be put right"; }

# It waits for whoever is at work: the night's backup is not to be lost to a deploy.
await_host() {
  local until=$(($(uptime_ms) + wait_seconds * 1000))
  until lock_host 1; do
    [[ ! -e $journal/cancel ]] && (($(uptime_ms) < until)) || return 1
  done
  rm "$journal/waits"
  : >"$journal/waited-for" # by whoever comes next
}

wait_seconds=$((work_seconds / 2 < 600 ? work_seconds / 2 : 600))

tell_waited() {
  if [[ -e $journal/cancel ]]; then
    finish refused cancelled 'Cancelled on request, before it began.'
  else
    finish refused busy "Operation $(head -n 1 "$state/lock") was still at work on this host after $wait_seconds s: no backup was made.$(tell_last)"
  fi
}

recognise() {
  check_host
  [[ $fence == none ]] || check_fence
  [[ $(setting backups) =~ ^[a-z0-9] && $(setting backups) != none ]] || refuse backup-precondition \
    "This host knows no backup bucket: an operator sends the document $app-prepare-host with backups=BUCKET."
  [[ -n $short && -f $state/releases/$short.json && -f $state/releases/$short.description.json ]] || refuse backup-precondition \
    'No release is live on this host, so nothing says what is to be backed up: deploy one.'
  remove_halves
  name_backup "$tier"
}

give_up() {
  local result reason sentence
  take_failure "$1"
  remove_half
  finish "$result" "$reason" "$sentence$(tell_last)"
  exit 0
}

usual_reason() {
  if is_full; then
    echo no-room
  else
    case $1 in
    copy | pack | manifest) echo verification-failed ;;
    lock | sources | room | 'hold') echo backup-precondition ;;
    *) echo "$1-failed" ;;
    esac
  fi
}

# What there is instead.
tell_last() {
  local last
  last=$(remembered | jq -r '.manifest // ""')
  printf ' Nothing live was changed; %s' "${last:+the newest good backup from here is }${last:-no good backup was made here yet}."
}

work() {
  # systemd takes death by SIGTERM for a success, and then no recovery follows.
  trap 'exit 143' TERM
  : >"$journal/waits" # before its journal: whoever has the host would take it for dead
  keep_fact started "$(uptime_ms)"
  keep_fact boot "$(</proc/sys/kernel/random/boot_id)"
  if ! await_host; then
    tell_waited
    return
  fi
  recover_others
  short=$(live_release)
  step lock safely recognise
  step sources safely check_sources
  step room safely check_room_for_backup
  step hold safely check_hold
  step copy safely copy_databases
  step pack safely pack_all
  step manifest safely write_manifest
  step upload safely upload
  step commit safely commit_backup
  step keep keep_committed
  step prune prune_backups
  finish_backed_up ''
}

# It is committed: what fails from here on makes it no worse.
keep_committed() {
  keep_copies || note 'the copies could not be renamed'
  remember_backup || note 'the disk is full: the next one may be given a longer tier again'
}

prune_backups() {
  local code=0
  remove_old_copies || code=1
  remove_old_asides || code=1
  remove_old_operations || code=1
  ((code == 0)) || note 'Not all that is old could be removed; the next backup tries again.'
}

# The `$` in single quotes is jq's.
# shellcheck disable=SC2016
finish_backed_up() {
  local manifest more
  manifest=$copies/$(backup_name)/manifest.json
  [[ -f $manifest ]] || manifest=$(half_folder)/manifest.json
  jq -c '{backup: .}' "$manifest" >"$journal/further"
  more=$(jq -c --arg manifest "$(backup_key manifest.json)" --arg bucket "$(setting backups)" '{$manifest, $bucket,
    bytes: ([.databases[], .files, .code | select(.) | .packed.size] | add), databases: (.databases | length),
    rows: ([.databases[].tables[]] | add // 0), hold_ms}' "$manifest")
  finish 'done' backed-up "$(jq -r 'def many($word): "\(.) \($word)" + if . == 1 then "" else "s" end;
    "\(.databases | many("database")) with \(.rows | many("row")), and the code, are stored in \(.bucket), in \(.bytes | many("byte"))."' <<<"$more")$1" "$more"
}

# Puts this backup right after its death: once its manifest may be stored, it is carried to its end, else removed.
recover() {
  local reason stopped
  [[ $1 != boot ]] || exit 0 # nothing live was changed
  begin_recovery "$1"
  keep_fact interrupted "$stopped"
  if has_fact committing; then
    recover_commit
  else
    remove_half
    finish failed "$reason" "The backup died in step ${stopped:-none}, and nothing of it is left here; what it stored has no manifest, and is no backup.$(tell_last)"
  fi
}

# It may have died at any point from the first try to store its manifest to the last word of its verdict.
recover_commit() {
  local half outcome=unknown
  half=$(half_folder)
  # Half a minute of its own: its time may be over.
  keep_fact started "$(($(uptime_ms) - work_seconds * 1000 + 30000))"
  if [[ -d $copies/$(backup_name) ]] || { [[ -f $half/manifest.json ]] && put_manifest "$half/manifest.json"; }; then
    keep_committed
    finish_backed_up ' It was interrupted after its commit, and finished by recovery.'
  else
    if [[ -s $journal/failure ]]; then outcome=$(failure result); fi
    remove_half
    finish "$outcome" commit-failed "The backup died while its manifest was stored, and whether that is in $(setting backups) is for its reader to see: $(what_s3_said).$(tell_last)"
  fi
}

begin_operation "$@"
