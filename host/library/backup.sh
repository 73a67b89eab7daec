#!/bin/bash
# Backups: the data and the live code copied, proven sound while they are packed, described from the copy, stored by a
# host that can only add, and kept here for some days. Nothing live is changed: what is half done is removed.
# shellcheck shell=bash disable=SC2154

copies=$state/copies
raw=$state/copying/$operation
said=$journal/said # what sqlite3 or aws said last

# ---- what it is called ----------------------------------------------------------------------------------------

# By the time at which it began; its tier by what this host remembers, for it cannot list.
name_backup() { # TIER
  local begun
  begun=$(now_ms)
  keep_fact begun "$begun"
  keep_fact stamp "$(date -u -d "@$((begun / 1000))" +%Y%m%dT%H%M%SZ)"
  keep_fact tier "$(choose_tier "$1" "$((begun / 1000))")"
}

backup_name() { printf '%s-%s' "$(fact stamp)" "$operation"; }
half_folder() { printf '%s/%s.half' "$copies" "$(backup_name)"; }
backup_key() { printf 'backups/%s/%s/%s/%s/%s' "$app" "$environment" "$(fact tier)" "$(backup_name)" "$1"; }
suffix() { if command -v zstd >/dev/null; then echo zst; else echo gz; fi; }

# What the good backups of this very instance left: a machine made from an image starts anew (attack 26).
remembered() {
  jq -c --arg environment "$environment" --arg instance "$(setting instance)" \
    'if .environment == $environment and .instance == $instance then . else {} end' "$state/backups.json" 2>/dev/null || echo '{}'
}

# The first good one of a month is kept longest, else the first of a week.
choose_tier() { # TIER SECONDS
  if [[ $1 != auto ]]; then
    printf '%s' "$1"
  else
    remembered | jq -r --arg month "$(date -u -d "@$2" +%Y-%m)" --arg week "$(date -u -d "@$2" +%G-W%V)" \
      'if .month != $month then "monthly" elif .week != $week then "weekly" else "daily" end'
  fi
}

remember_backup() {
  local begun
  begun=$(($(fact begun) / 1000))
  jq -nc --argjson known "$(remembered)" --arg environment "$environment" --arg instance "$(setting instance)" \
    --arg tier "$(fact tier)" --arg manifest "$(backup_key manifest.json)" \
    --arg month "$(date -u -d "@$begun" +%Y-%m)" --arg week "$(date -u -d "@$begun" +%G-W%V)" '$known
      + {schema: 1, $environment, $instance, $manifest}
      + if $tier == "monthly" then {$month, $week} elif $tier == "weekly" then {$week} else {} end' |
    write_whole "$state/backups.json"
}

# ---- while something takes long -------------------------------------------------------------------------------

# What must stay free for the app, whose disk it is.
floor_bytes() {
  local size least=$((64 << 20)) most=$((1 << 30))
  size=$(($(df --output=size --block-size=1 "$state" | tail -n 1) / 20))
  printf '%s' "$((size < least ? least : size > most ? most : size))"
}

may_go_on() {
  [[ ! -e $journal/cancel ]] && (($(time_left_ms) > 0)) || return 1
  if (($(free_bytes "$state") < $1)); then
    : >"$journal/full"
    return 1
  fi
}

# Runs what may take long, and ends it, whatever it has started, when it is cancelled, out of time, or about to fill
# the disk.
guarded() {
  local code=0 worker watcher floor
  floor=$(($(floor_bytes) / 2))
  set -m # a process group of its own
  (
    set +m
    "$@"
  ) 9>&- &
  worker=$!
  set +m
  (
    while may_go_on "$floor"; do sleep 0.3; done
    kill -TERM -- "-$worker" 2>/dev/null
  ) >/dev/null 2>&1 9>&- &
  watcher=$!
  wait "$worker" || code=$?
  kill "$watcher" 2>/dev/null || true # it has ended by itself where it ended the work
  wait "$watcher" || true             # by our signal
  if ((code != 0)); then
    may_go_on "$floor" || safe_point
  fi
  return "$code"
}

# ---- what is there to back up ---------------------------------------------------------------------------------

shared_size() { as_user "$(setting user)" stat --dereference --format=%s "$home/shared/$1" 2>/dev/null || echo 0; }

# A database that is not what it should be would give an empty, sound copy, or somebody else's file.
check_sources() {
  local name kind names
  mapfile -t names < <(databases)
  for name in "${names[@]}"; do
    is_below_shared "$name" || refuse backup-precondition "The database $name leads out of shared/."
    kind=$(as_user "$(setting user)" stat --dereference --format=%F "$home/shared/$name" 2>/dev/null) || kind=none
    case $kind in
    'regular file') ;;
    none) refuse backup-precondition "The database $name is not there." ;;
    'regular empty file') refuse backup-precondition "The database $name is an empty file." ;;
    *) refuse backup-precondition "The database $name is no file but a $kind." ;;
    esac
    as_user "$(setting user)" test -r "$home/shared/$name" || refuse backup-precondition "The database $name cannot be read by the user of the app."
  done
  mapfile -t names < <(of_release '.data.include[]?')
  for name in "${names[@]}"; do
    is_below_shared "$name" || refuse backup-precondition "What is to be included, $name, leads out of shared/."
  done
  note "$(databases | wc -l) databases"
}

# What of `include` is there, one a line, as it stands in the archive.
present_files() {
  local name names
  mapfile -t names < <(of_release '.data.include[]?')
  for name in "${names[@]}"; do
    if as_user "$(setting user)" test -e "$home/shared/$name"; then printf './%s\n' "$name"; fi
  done
}

# Twice the databases with their logs, and once what else is packed.
needed_bytes() {
  local name names total=0 one
  mapfile -t names < <(databases)
  for name in "${names[@]}"; do
    for one in "$(shared_size "$name")" "$(shared_size "$name-wal")"; do
      are_numbers "$one" && total=$((total + 2 * one))
    done
  done
  mapfile -t names < <(present_files)
  if ((${#names[@]} > 0)); then
    # A file that goes meanwhile is a failure to du, whose sum is right without it.
    one=$(as_user "$(setting user)" du --bytes --summarize --total "${names[@]/#./$home/shared}" 2>/dev/null | tail -n 1 | cut -f 1) || true
    are_numbers "$one" && total=$((total + one))
  fi
  one=$(du --bytes --summarize "$home/releases/$short" | cut -f 1)
  printf '%s' "$((total + one + (16 << 20)))"
}

check_room_for_backup() {
  local need floor free
  install -d -m 0700 "$copies"
  lay_ballast
  need=$(needed_bytes)
  floor=$(floor_bytes)
  free=$(free_bytes "$state")
  if ((free < need + floor)); then
    remove_old_copies
    free=$(free_bytes "$state")
  fi
  ((free >= need + floor)) || refuse no-room "$state has $((free >> 20)) MiB free, and a backup needs about $((need >> 20)) MiB beside $((floor >> 20)) MiB that stay free for the app. Earlier backups take $(($(du --bytes --summarize "$copies" | cut -f 1) >> 20)) MiB there."
  note "needs about $((need >> 20)) MiB of $((free >> 20)) MiB"
}

# As the database's own header says it: of a copy, sqlite3 does not tell.
journal_mode_of() { # USER FILE
  local version
  version=$(as_user "$1" od --address-radix=n --format=u1 --skip-bytes=18 --read-bytes=1 "$2")
  if [[ ${version// /} == 2 ]]; then echo wal; else echo delete; fi
}

# A copy holds the writers of a database with a rollback journal for as long as it takes (attack 23). How long, a
# trial tells: a part is copied as sqlite3 does it, page by page, after all of it was read, which no writer notices.
check_hold() {
  local index=0 name names took estimate limit
  limit=$(of_release '.data.busy_timeout_ms // 5000')
  are_numbers "$limit" || limit=5000
  mapfile -t names < <(databases)
  make_raw
  for name in "${names[@]}"; do
    if [[ $(journal_mode_of "$(setting user)" "$home/shared/$name") != wal ]]; then
      estimate=$(estimate_hold "$home/shared/$name" "$(shared_size "$name")")
      keep_fact "estimate-$index" "$estimate"
      took+="${took:+, }$name for about $estimate ms"
      ((estimate <= limit / 2)) || refuse too-long-a-hold "Copying $name, which has a rollback journal and $(($(shared_size "$name") >> 20)) MiB, would hold its writers for about $estimate ms, and the app waits $limit ms for a locked database: half of that is the limit. Let the app switch it to WAL (PRAGMA journal_mode = WAL), by which no writer waits."
    fi
    index=$((index + 1))
  done
  note "holds writers of ${took:-no database}"
}

# In milliseconds: half as much again as the trial says.
estimate_hold() { # FILE SIZE
  local user trial=$(($2 < 64 << 20 ? $2 : 64 << 20)) began
  user=$(setting user)
  guarded as_user "$user" dd "if=$1" of=/dev/null bs=1M status=none
  began=${EPOCHREALTIME/./}
  guarded as_user "$user" dd "if=$1" "of=$raw/data/trial" bs=4096 count="$((trial / 4096 + 1))" status=none
  printf '%s' "$((((${EPOCHREALTIME/./} - began) * 3 * (($2 >> 10) + 1) / ((trial >> 10) + 1) / 2 + 999) / 1000))"
  as_user "$user" rm -f "$raw/data/trial"
}

# ---- copied, proven, packed, described ------------------------------------------------------------------------

# The app's user writes the copies, in a folder of its own inside one of root's (attack 6).
make_raw() {
  install -d -m 0711 "$state/copying" "$raw"
  if [[ ! -d $raw/data ]]; then install -d -m 0700 -o "$(setting user)" "$raw/data"; fi
}

copy_databases() {
  local index=0 name names times told=''
  mapfile -t names < <(databases)
  make_raw
  install -d -m 0700 "$copies" "$(half_folder)"
  keep_fact copied "$(now_ms)"
  for name in "${names[@]}"; do
    guarded copy_database "$(setting user)" "$home/shared/$name" "$raw/data/$index" >"$journal/times" 2>"$said" || fail_copy "$name"
    mapfile -t times <"$journal/times"
    if [[ ${#times[@]} != 4 ]] || ! are_numbers "${times[@]}"; then fail verification-failed "sqlite3 did not tell when it copied $name."; fi
    told+="${told:+, }$name in $((times[3] - times[2])) ms"
    # A reader of a WAL holds nobody.
    if [[ $(journal_mode_of "$(setting user)" "$raw/data/$index") == wal ]]; then times[3]=${times[2]}; fi
    keep_fact "hold-$index" "$((times[3] - times[2]))"
    index=$((index + 1))
  done
  note "$told"
}

fail_copy() {
  local words
  words=$(tail -c 1000 "$said" | tr -c '[:print:]' ' ')
  case $words in
  *'database is locked'*) fail busy "The database $1 was held by others for 20 s, so it could not be read." ;;
  *'disk is full'* | *'No space left'*) fail no-room "The disk filled up while $1 was copied." ;;
  *'not a database'*) fail backup-precondition "$1 is no SQLite database." ;;
  *) fail verification-failed "The database $1 could not be copied: $words" ;;
  esac
}

pack_stream() { if [[ $(suffix) == zst ]]; then zstd --quiet -3 --stdout; else gzip -1 --no-name; fi; }

# Packs what a command prints into TARGET, read once: prints the SHA-256 of what came and of what was stored.
pack() {
  local target=$1 came
  shift
  came=$({ "$@" 3>&- | tee /dev/fd/3 | pack_stream 3>&- | tee "$target" 3>&- | digest >"$target.sum" 3>&-; } 3>&1 | digest) || return 1
  sync "$target" || return 1
  printf '%s %s\n' "$came" "$(<"$target.sum")"
  rm -f "$target.sum"
}

# The JSON of what was packed: packed_json TARGET RAW-SIZE, of what `pack` printed.
packed_json() {
  local came stored
  read -r came stored
  jq -nc --arg object "${1##*/}" --argjson size "$2" --arg came "$came" --argjson stored_size "$(stat --format=%s "$1")" --arg stored "$stored" \
    '{$object, raw: {$size, sha256: $came}, packed: {size: $stored_size, sha256: $stored}}'
}

pack_all() {
  local index=0 name names
  rm -f "$journal"/{packed,described}-*
  mapfile -t names < <(databases)
  for name in "${names[@]}"; do
    rm -f "$journal/problem"
    guarded seal_database "$index" "$name" || fail_seal "$name"
    index=$((index + 1))
  done
  mapfile -t names < <(present_files)
  if ((${#names[@]} > 0)); then
    guarded seal_tar files archive_files "${names[@]}" || fail_seal 'of the files'
  fi
  guarded seal_tar code archive_code || fail_seal 'of the code'
  sync "$(half_folder)"
  rm -rf --one-file-system "$raw"
}

fail_seal() {
  local problem
  problem=$(cat "$journal/problem" 2>/dev/null) || problem=''
  [[ $problem != 'it holds no table' ]] || fail backup-precondition "The database $1 holds no table, so there is nothing to back up."
  fail verification-failed "The copy of $1 is not sound: ${problem:-it could not be packed}."
}

# The copy is proven sound and described while it is packed: both only read it.
seal_database() { # INDEX NAME
  local user target packer code=0
  user=$(setting user)
  target=$(half_folder)/database-$1.sqlite.$(suffix)
  pack "$target" as_user "$user" cat "$raw/data/$1" >"$journal/packed" &
  packer=$!
  problem_of "$user" "$raw/data/$1" integrity_check >"$journal/problem"
  if [[ -s $journal/problem ]]; then code=1; else describe_database "$1" "$2" >"$journal/described-$1" || code=1; fi
  wait "$packer" || code=1
  ((code == 0)) || return 1
  packed_json "$target" "$(as_user "$user" stat --format=%s "$raw/data/$1")" <"$journal/packed" >"$journal/packed-$1"
}

# All that the manifest says of a database, from its copy. Names may hold anything: sqlite3 quotes them.
describe_database() { # INDEX NAME
  local user copy uri numbers violations schema
  user=$(setting user) copy=$raw/data/$1
  uri=$(database_uri "$copy" immutable=1)
  mapfile -t numbers < <(query "$user" "$uri" 'PRAGMA page_size; PRAGMA page_count; PRAGMA user_version;')
  if [[ ${#numbers[@]} != 3 || ! ${numbers[2]} =~ ^-?[0-9]{1,10}$ ]] || ! are_numbers "${numbers[@]:0:2}"; then return 1; fi
  # Of a key that points at no table it cannot be told.
  violations=$(query "$user" "$uri" 'SELECT count(*) FROM pragma_foreign_key_check;') || violations=null
  are_numbers "$violations" || violations=null
  schema=$(schema_of "$user" "$copy" immutable=1) || return 1
  count_rows "$user" "$uri" >"$journal/tables-$1" || return 1
  newest_of "$user" "$uri" "$2" >"$journal/newest-$1" || return 1
  jq -nc --arg name "$2" --arg mode "$(journal_mode_of "$user" "$copy")" --argjson size "${numbers[0]}" --argjson pages "${numbers[1]}" \
    --argjson version "${numbers[2]}" --arg schema "$schema" --slurpfile tables "$journal/tables-$1" --slurpfile newest "$journal/newest-$1" \
    --argjson violations "$violations" '{$name, journal_mode: $mode, page_size: $size, $pages, user_version: $version, $schema,
      tables: $tables[0], newest: $newest[0], foreign_key_violations: $violations}'
}

# The greatest value of each column that tells the age of a database; null where it is not there.
newest_of() { # USER URI NAME
  local column columns table value
  mapfile -t columns < <(jq -r --arg name "$3" '.data.newest[$name]?[]? | strings | select(test("^[A-Za-z_]\\w*\\.[A-Za-z_]\\w*$"))' \
    "$state/releases/$short.description.json")
  for column in "${columns[@]}"; do
    table=${column%%.*}
    value=$(query "$1" "$2" "SELECT json_object('value', CAST(max(\"$table\".\"${column#*.}\") AS text)) FROM \"$table\";" 2>/dev/null) || value='{"value":null}'
    jq -c --arg column "$column" '{key: $column, value: (.value | if . == null then null else tostring[0:200] end)}' <<<"$value" || return 1
  done | jq -cs from_entries
}

# An archive, packed. tar tells its members, and in the end how many bytes it wrote.
seal_tar() { # NAME COMMAND...
  local name=$1 target size
  shift
  target=$(half_folder)/$name.tar.$(suffix)
  pack "$target" "$@" >"$journal/packed" 2>"$journal/members" || return 1
  size=$(sed -n 's/^Total bytes written: \([0-9]*\) .*/\1/p' "$journal/members")
  are_numbers "$size" || return 1
  # What tar complained of; mostly nothing, which is a failure to grep.
  { grep --text --invert-match '^\./' "$journal/members" || true; } >&2
  packed_json "$target" "$size" <"$journal/packed" |
    jq -c --argjson count "$(grep --text --count '^\./' "$journal/members")" '{object, $count, raw, packed}' >"$journal/packed-$name"
}

# Read as the app's user, also root's own release, which everybody may read. 1: a file changed meanwhile.
make_archive() { # FOLDER ARGUMENTS...
  local folder=$1 code=0
  shift
  as_user "$(setting user)" tar --create --file=- --verbose --totals --quoting-style=escape --sort=name --numeric-owner \
    --directory="$folder" --anchored --no-wildcards "$@" || code=$?
  ((code <= 1))
}

archive_files() {
  local name names skip=(--exclude=./.understudy-aside)
  mapfile -t names < <(databases)
  for name in "${names[@]}"; do skip+=("--exclude=./$name" "--exclude=./$name-wal" "--exclude=./$name-shm" "--exclude=./$name-journal"); done
  mapfile -t names < <(of_release '.data.exclude[]?')
  make_archive "$home/shared" "${skip[@]}" "${names[@]/#/--exclude=./}" "$@"
}

archive_code() {
  local names
  mapfile -t names < <(of_release '.data.exclude[]?')
  make_archive "$home/releases/$short" "${names[@]/#/--exclude=./}" .
}

# In the order of the databases.
write_manifest() {
  local index=0 name names hold=0 one
  mapfile -t names < <(databases)
  : >"$journal/databases.jsonl"
  for name in "${names[@]}"; do
    jq -cs 'add' "$journal/described-$index" "$journal/packed-$index" >>"$journal/databases.jsonl"
    one=$(fact "hold-$index")
    ((one <= hold)) || hold=$one
    index=$((index + 1))
  done
  jq -nc --arg app "$app" --arg environment "$environment" --arg tier "$(fact tier)" --arg operation "$operation" --arg instance "$(setting instance)" \
    --slurpfile release "$state/releases/$short.json" --argjson started "$(fact begun)" --argjson copied "$(fact copied)" --argjson ended "$(now_ms)" \
    --arg sqlite "$(sqlite3 --version | cut -d ' ' -f 1)" --slurpfile databases "$journal/databases.jsonl" \
    --slurpfile files <(cat "$journal/packed-files" 2>/dev/null) --slurpfile code "$journal/packed-code" \
    --slurpfile description "$state/releases/$short.description.json" --argjson hold "$hold" --slurpfile journal <(journal_lines) '
    {schema: 1, $app, $environment, $tier, $operation, $instance, release: $release[0].release, commit: $release[0].commit,
      $started, $copied, $ended, understudy: 1, $sqlite, $databases, files: ($files[0] // null), code: $code[0],
      release_description: $description[0], hold_ms: $hold,
      phases: [$journal[] | select(.event == "started") as $begun | $begun
        | [$journal[] | select(.event == "ended" and .step == $begun.step)][0] as $finish | select($finish)
        | {name: .step, ms: ($finish.at - .at)}]}' | write_whole "$(half_folder)/manifest.json"
}

# ---- stored ---------------------------------------------------------------------------------------------------

was_put() { journal_lines | jq -en --arg name "$1" 'any(inputs; .fact == "put" and .value == $name)' >/dev/null; }

# S3's own word for why it refused, from what aws said: nothing where none came.
refusal_code() { sed -n 's/.*An error occurred (\([A-Za-z0-9]*\)).*/\1/p' "$said" | head -n 1; }

# Stores one object where there is none, and tries again what may still succeed. Each try is written down before it is
# made: so what is there already, after one of which we never heard, is ours. False: S3's word is in `said`.
put_backup() { # FILE SHA-256 TYPE
  local name=${1##*/} pause=1 until sum
  sum=$(printf '%b' "$(printf %s "$2" | sed 's/../\\x&/g')" | base64 --wrap=0)
  until=$(($(uptime_ms) + 15 * 60 * 1000))
  while :; do
    local tried=no
    if was_put "$name"; then tried=yes; fi
    keep_fact put "$name"
    if AWS_MAX_ATTEMPTS=1 store_seconds=$(($(time_left_ms) / 1000 + 1)) store s3api put-object --bucket "$(setting backups)" \
      --key "$(backup_key "$name")" --body "$1" --if-none-match '*' --checksum-algorithm SHA256 --checksum-sha256 "$sum" \
      --content-type "$3" >/dev/null 2>"$said"; then
      return 0
    fi
    cat "$said" >&2
    case $(refusal_code) in
    PreconditionFailed)
      [[ $tried == yes ]]
      return
      ;;
    403 | AccessDenied | AllAccessDisabled | InvalidAccessKeyId | SignatureDoesNotMatch | RequestTimeTooSkewed | NoSuchBucket | \
      PermanentRedirect | EntityTooLarge) return 1 ;;
    esac
    (($(uptime_ms) + pause * 1000 < until && $(time_left_ms) > pause * 1000)) || return 1
    sleep "$pause"
    pause=$((pause < 16 ? pause * 2 : 16))
  done
}

type_of() { case $1 in *.zst) echo application/zstd ;; *.gz) echo application/gzip ;; *) echo application/json ;; esac; }

what_s3_said() { tail -c 600 "$said" 2>/dev/null | tr -c '[:print:]' ' ' | sed 's/^ *//; s/ *$//'; }

# Two at a time: the databases one after the other, and beside them the files and the code.
upload() {
  rm -f "$journal/refused"
  guarded put_lanes || fail upload-failed "$(cat "$journal/refused" 2>/dev/null || echo 'An object') could not be stored in $(setting backups): $(what_s3_said)."
}

put_lanes() {
  local lane code=0
  put_lane '.files, .code' "$journal/said-beside" &
  lane=$!
  put_lane '.databases[]' "$journal/said" || code=1
  wait "$lane" || code=1
  return "$code"
}

# It goes no further than the other lane has come, where that was refused.
put_lane() { # FILTER SAID
  local object sum half said=$2
  half=$(half_folder)
  while read -r object sum <&4; do
    [[ ! -e $journal/refused ]] || return 1
    if ! put_backup "$half/$object" "$sum" "$(type_of "$object")"; then
      printf '%s' "$object" >"$journal/refused"
      [[ $said == "$journal/said" ]] || cp "$said" "$journal/said"
      return 1
    fi
  done 4< <(jq -r "$1"' | select(.) | "\(.object) \(.packed.sha256)"' "$half/manifest.json")
}

# The manifest makes it a backup. From here on nobody is heard: it is one object.
commit_backup() {
  local half
  half=$(half_folder)
  keep_fact committing yes
  put_manifest "$half/manifest.json" || end_commit
  keep_fact committed yes
}

put_manifest() { put_backup "$1" "$(digest <"$1")" application/json; }

# S3's word is final; silence is not.
end_commit() {
  local outcome=failed
  [[ -n $(refusal_code) ]] || outcome=unknown
  end_step "$outcome" commit-failed "The manifest could not be stored in $(setting backups): $(what_s3_said)."
}

# ---- kept here ------------------------------------------------------------------------------------------------

keep_copies() {
  if [[ -d $(half_folder) ]]; then mv -T "$(half_folder)" "$copies/$(backup_name)"; fi
  sync "$copies"
}

# Of folders, each on a line after its time: those that are older than they are to stay, and never the newest.
old_ones() {
  local stay
  stay=$(of_release '.backup.local_ms // 604800000')
  are_numbers "$stay" || stay=604800000
  sort -rn | tail -n +2 | awk -v oldest="$(($(now_ms) / 1000 - stay / 1000))" '$1 < oldest {sub(/^[^ ]+ /, ""); print}'
}

remove_old_copies() {
  local name code=0
  while IFS= read -r name; do rm -rf --one-file-system "$name" || code=1; done < <(
    find "$copies" -mindepth 1 -maxdepth 1 -type d ! -name '*.half' -printf '%T@ %p\n' 2>/dev/null | old_ones
  )
  return "$code"
}

# What restores set aside stays as long as copies do.
remove_old_asides() {
  local user name kind code=0
  user=$(setting user)
  # What users wrote on a backup that did not hold is no set: it has a newest of its own.
  for kind in '*-[0-9]*[0-9]' '*.refused'; do
    while IFS= read -r name; do as_user "$user" rm -rf --one-file-system "$name" || code=1; done < <(
      as_user "$user" find "$home/shared/.understudy-aside" -mindepth 1 -maxdepth 1 -type d -name "$kind" -printf '%T@ %p\n' 2>/dev/null | old_ones
    )
  done
  return "$code"
}

remove_half() {
  rm -rf --one-file-system "$raw"
  if has_fact stamp; then rm -rf --one-file-system "$(half_folder)"; fi
}

# Under the host's lock nobody else is at work: what others left half done, they left for good.
remove_halves() { rm -rf --one-file-system "$copies"/*.half "$state/copying"; }
