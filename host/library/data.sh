#!/bin/bash
# The app's data: its databases are copied under writes, fingerprinted, and put back. All of it is done as the app's user (attack 6).
# shellcheck shell=bash disable=SC2154

database_uri() { jq -rn --arg path "$1" --arg how "$2" '"file:" + ($path | split("/") | map(@uri) | join("/")) + "?" + $how'; }

# What a process under the app's uid printed is the app's word: bash evaluates what it calculates with, and we are root.
are_numbers() {
  local one
  for one in "$@"; do [[ $one =~ ^(0|[1-9][0-9]{0,17})$ ]] || return 1; done
}

query() { # USER URI STATEMENTS
  as_user "$1" timeout --foreground 900 sqlite3 -batch -bail -init /dev/null -cmd '.timeout 20000' "$2" "$3"
}

# Copies one database while it is written to. Inside a read transaction, or each foreign write would start the copy
# anew. The new file needs no journal and is synced by whoever copies, so that writers are held for less long. Prints
# when it began, saw the data, and had copied it, in milliseconds; between is what the read transaction answers.
copy_database() { # USER SOURCE TARGET
  local clock="SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS integer);"
  as_user "$1" timeout --foreground 900 sqlite3 -batch -bail -init /dev/null "$(database_uri "$2" mode=rw)" <<SQL
.timeout 20000
$clock
BEGIN;
SELECT EXISTS (SELECT 1 FROM sqlite_master);
$clock
.backup --async '$3'
COMMIT;
$clock
SQL
}

# Tells what is wrong with a copy. What sqlite3 calls ok proves little: the text, the size and a table are looked at
# (an unreadable path gives an empty, sound database).
problem_of() { # USER FILE integrity_check|quick_check
  local size found
  mapfile -t found < <(query "$1" "$(database_uri "$2" immutable=1)" \
    "PRAGMA $3; SELECT count(*) FROM sqlite_master WHERE type = 'table'; PRAGMA page_count; PRAGMA page_size;" 2>&1)
  size=$(as_user "$1" stat --format=%s "$2") || size=none
  if [[ ${found[0]-} != ok ]]; then
    printf '%s says: %s' "$3" "${found[*]:0:4}"
  elif [[ ${#found[@]} != 4 ]] || ! are_numbers "$size" "${found[@]:1}"; then
    printf 'it cannot be read'
  elif ((found[1] < 1)); then
    printf 'it holds no table'
  elif ((size != found[2] * found[3])); then
    printf 'it has %d bytes, and its pages %d' "$size" "$((found[2] * found[3]))"
  fi
}

back_up_database() { # USER SOURCE TARGET integrity_check|quick_check
  copy_database "$1" "$2" "$3" >/dev/null && [[ -z $(problem_of "$1" "$3" "$4") ]] && as_user "$1" sync "$3" "$(dirname "$3")"
}

# The fingerprint of one database's schema: schema_of USER FILE HOW (an URI's mode=rw, or immutable=1 for a copy).
schema_statements='SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql; PRAGMA user_version;'
schema_of() { query "$1" "$(database_uri "$2" "$3")" "$schema_statements" | sha256sum | cut -d ' ' -f 1; }

# openssl hashes several times faster than sha256sum, where it is there.
digest() { if command -v openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d ' ' -f 1; }

# Gives the statements that give the rows of each table, as JSON objects. One UNION ALL a 400 tables, for SQLite takes 500 in
# one; virtual tables, and what they keep their data in, are not counted.
count_statements="SELECT 'SELECT json_group_object(name, rows) FROM (' || group_concat('SELECT ' || quote(name) || ' AS name, count(*) AS rows FROM \"'
  || replace(name, '\"', '\"\"') || '\"', ' UNION ALL ') || ');'
  FROM (SELECT name, row_number() OVER (ORDER BY name) / 400 AS part FROM pragma_table_list
    WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\') GROUP BY part;"

count_rows() { # USER URI
  local statements
  statements=$(query "$1" "$2" "$count_statements") || return 1
  as_user "$1" timeout --foreground 900 sqlite3 -batch -bail -init /dev/null "$2" <<<"$statements" | jq -cs 'add // {}'
}

# The rows of all tables in the databases that a release names, or null where they cannot be read.
live_rows() { # RELEASE
  local name user total=0 rows
  user=$(setting user)
  [[ -n $1 ]] || { echo 0 && return; }
  while IFS= read -r name; do
    if ! is_below_shared "$name" || ! as_user "$user" test -s "$home/shared/$name"; then continue; fi
    rows=$(count_rows "$user" "$(database_uri "$home/shared/$name" mode=rw)" | jq 'add // 0') || rows=unreadable
    are_numbers "$rows" || { echo null && return; }
    total=$((total + rows))
  done < <(short=$1 databases)
  echo "$total"
}

# Bytes of the app's data; the databases, which are copied three times, apart.
data_bytes() {
  [[ -d $home/shared ]] || { echo '0 0' && return; }
  as_user "$(setting user)" find "$home/shared" -type f -printf '%s %p\n' 2>/dev/null |
    awk '$1 !~ /^[0-9]+$/ || length($1) > 15 {next}
      {total += $1; if ($NF ~ /\.(db|sqlite3?|db3)(-wal)?$/) databases += $1}
      END {printf "%d %d\n", total, databases}'
}

databases() { of_release '.data.databases[]?'; }

# Only names that stay below shared/, whatever a link in it says.
is_below_shared() {
  local resolved
  # A link that leads back to itself ends by the time-out: it resolves to nothing, which is not below.
  resolved=$(as_user "$(setting user)" timeout 5 realpath --canonicalize-missing "$home/shared/$1") || true
  [[ $1 != /* && $resolved == "$home/shared"/* ]]
}

check_database_name() { is_below_shared "$1" || fail backup-failed "The database $1 is not below shared/."; }

# The folder is root's, and the two in it the app's: made at once, before the app can put a link in their place.
# What an earlier run of this operation kept stays beside it.
back_up() {
  local schema
  install -d -m 0711 "$state/backups"
  if [[ -e $backup ]]; then mv -T "$backup" "$backup-$(now_ms)"; fi
  install -d -m 0711 "$backup"
  install -d -m 0700 -o "$(setting user)" "$backup/before" "$backup/kept"
  sync "$state/backups" "$backup"
  back_up_databases "$backup/before" integrity_check
  schema=$(schema_of_backup "$backup/before")
  keep_fact schema-before "$schema"
  remember_schema
}

# The live release may have changed its schema since it was deployed: it is known for the one that it ran on last.
remember_schema() {
  local previous record schema
  previous=$(fact previous)
  record=$state/releases/$previous.json
  [[ -n $previous && -f $record ]] || return 0
  schema=$(short=$previous schema_below "$(setting user)" "$home/shared")
  jq -c --arg schema "$schema" '. + {$schema}' "$record" | write_whole "$record"
}

# Copies each database, pinned, into a folder as 0, 1, 2...; what is not there yet leaves no file.
back_up_databases() {
  local into=$1 check=$2 index=0 name absent=''
  while IFS= read -r name; do
    check_database_name "$name"
    if as_user "$(setting user)" test -s "$home/shared/$name"; then
      back_up_database "$(setting user)" "$home/shared/$name" "$into/$index" "$check" ||
        fail backup-failed "The database $name could not be copied, or its copy is not sound."
    elif [[ -n $(fact previous) ]] && ! was_absent "$name"; then
      fail backup-failed "The database $name is not there, and it was there for the live release."
    else
      absent+=" $name"
    fi
    index=$((index + 1))
  done < <(databases)
  [[ -z $absent ]] || note "not there yet:$absent"
}

# A database that no release on this host has had may still be missing.
was_absent() {
  local record
  record=$state/releases/$(fact previous).json
  [[ ! -f $record ]] || ! jq -e --arg name "$1" '.databases // [] | index($name)' "$record" >/dev/null
}

# The fingerprint of all databases in a backup: of the files 0, 1, 2...
schema_of_backup() {
  local index=0 name
  while IFS= read -r name; do
    printf '%s ' "$name"
    if as_user "$(setting user)" test -e "$1/$index"; then schema_of "$(setting user)" "$1/$index" immutable=1 || return 1; else echo absent; fi
    index=$((index + 1))
  done < <(databases) | sha256sum | cut -d ' ' -f 1
}

# The same of the databases below a shared folder, read as USER.
schema_below() {
  local name
  while IFS= read -r name; do
    printf '%s ' "$name"
    if as_user "$1" test -s "$2/$name"; then schema_of "$1" "$2/$name" mode=rw || return 1; else echo absent; fi
  done < <(databases) | sha256sum | cut -d ' ' -f 1
}

# Everything in shared/ but what is excluded; the databases from their backup. Each file is written by the
# rehearsal's user from what the app's user reads: root opens nothing there (attack 6).
copy_data() {
  local name index=0 codes=(0 0) skip=(--exclude=./.understudy-aside)
  while IFS= read -r name; do
    skip+=(--exclude="./$name" --exclude="./$name-wal" --exclude="./$name-shm" --exclude="./$name-journal")
  done < <(databases)
  while IFS= read -r name; do skip+=(--exclude="./$name"); done < <(of_release '.data.exclude[]?')
  remove_copy
  install -d -m 0711 "$state/rehearsal"
  install -d -m 0700 -o "$app-rehearse" -g "$app-rehearse" "$copy"
  as_user "$(setting user)" tar --create --file - --directory "$home/shared" --anchored --no-wildcards "${skip[@]}" . |
    as_user "$app-rehearse" tar --extract --file - --directory "$copy" --no-same-owner || codes=("${PIPESTATUS[@]}")
  ((codes[0] <= 1 && codes[1] == 0)) || # 1: a file changed meanwhile
    fail backup-failed 'The files of shared/ could not be copied.'
  while IFS= read -r name; do
    if as_user "$(setting user)" test -e "$backup/before/$index"; then
      as_user "$app-rehearse" mkdir -p "$copy/$(dirname "$name")"
      as_user "$(setting user)" cat "$backup/before/$index" |
        as_user "$app-rehearse" dd bs=1M status=none of="$copy/$name"
    fi
    index=$((index + 1))
  done < <(databases)
}

remove_copy() { rm -rf --one-file-system "$copy"; }

# The databases as they were when the old release had stopped. Nothing is moved before all their copies are on the
# disk: where it is full, the data is left as it is. What is there now is kept aside.
put_data_back() {
  local aside
  aside=$home/shared/.understudy-aside/$operation-$(now_ms)
  if stop_hook && copy_kept "$aside"; then
    exchange_kept "$aside"
    keep_fact data-back yes
  else
    drop_copies
    keep_fact data-left yes
  fi
}

copy_kept() {
  local name index=0
  while IFS= read -r name; do
    if is_kept "$index"; then
      as_user "$(setting user)" mkdir -p "$(dirname "$home/shared/$name")" "$(dirname "$1/$name")" || return 1
      copy_beside "$(setting user)" "$backup/kept/$index" "$home/shared/$name" || return 1
    fi
    index=$((index + 1))
  done < <(databases)
}

is_kept() { as_user "$(setting user)" test -e "$backup/kept/$1"; }

copy_beside() { # USER SOURCE TARGET
  as_user "$1" cp -T --remove-destination "$2" "$3.understudy" || return 1
  if as_user "$1" test -e "$3"; then as_user "$1" chmod --reference="$3" "$3.understudy" || return 1; fi
  as_user "$1" sync "$3.understudy"
}

drop_copies() {
  local name
  while IFS= read -r name; do as_user "$(setting user)" rm -f "$home/shared/$name.understudy" || true; done < <(databases)
}

exchange_kept() {
  local aside=$1 name suffix target index=0 user
  user=$(setting user)
  while IFS= read -r name; do
    target=$home/shared/$name
    for suffix in '' -wal -shm -journal; do
      if as_user "$user" test -e "$target$suffix"; then
        as_user "$user" mkdir -p "$(dirname "$aside/$name")"
        as_user "$user" mv -T "$target$suffix" "$aside/$name$suffix"
      fi
    done
    if is_kept "$index"; then
      as_user "$user" mv -T "$target.understudy" "$target"
      as_user "$user" sync "$(dirname "$target")"
    fi
    index=$((index + 1))
  done < <(databases)
}
