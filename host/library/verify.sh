#!/bin/bash
# Whether a backup restores, by its bytes and its manifest alone: levels 2 to 4 of the ladder, in one pass over the bytes. It knows
# nothing of a host, and needs data.sh alone beside it: `verify_as` stands before each command that reads what a backup holds (a user
# without rights), or is empty. Each level's function prints its evidence and returns 0: passed, 1: failed, 2: could not run. No
# manifest is believed before `manifest_problem` found nothing.
# shellcheck shell=bash disable=SC2154

verify_as=()
verify_seconds=7200

# The `$` in single quotes are jq's.
# shellcheck disable=SC2016
manifest_words='
  def plain: type == "string" and length > 0 and length <= 1000 and (test("[\\x00-\\x1f\\x7f]") | not);
  def number: type == "number" and (tostring | test("^-?[0-9]{1,15}$"));
  def amount: number and . >= 0;
  def digest: type == "string" and test("^[0-9a-f]{64}$");
  def below: plain and (test("^/|(^|/)\\.{0,2}(/|$)") | not);
  def bytes: type == "object" and (.size | amount) and (.sha256 | digest);
  def packed($name): (.raw | bytes) and (.packed | bytes) and (.object | type == "string" and test("^" + $name + "\\.(zst|gz)$"));
  def database: (.name | below) and packed("database-[0-9]{1,2}\\.sqlite") and (.journal_mode | plain) and (.schema | digest)
    and all(.page_size, .pages; amount) and (.user_version | number) and (.tables | type == "object" and all(.[]; amount));
  def problem: [
    if .schema == 1 then empty else "schema" end,
    if all(.app, .environment, .operation; plain) then empty else "app, environment or operation" end,
    if .release | digest then empty else "release" end,
    if .databases | type == "array" and length <= 100 and all(.[]; database) and (map(.name) | unique | length) == length
      and (map(.object) | unique | length) == length then empty else "databases" end,
    if .release_description.data.include | type == "array" and all(.[]; below) then empty else "release_description" end,
    if .files == null or (.files | packed("files\\.tar") and (.count | amount)) then empty else "files" end,
    if .code == null or (.code | packed("code\\.tar") and (.count | amount)) then empty else "code" end] | join(", ");'

# What of a manifest is not as it should be, or nothing.
manifest_problem() { jq -rn "$manifest_words"' [inputs] | if length == 1 then .[0] | problem else "it is not one object" end' "$1" 2>/dev/null || echo 'it cannot be read'; }

unpacker_of() { # OBJECT, by its name
  case $1 in
  *.zst) echo zstd --decompress --stdout --quiet --memory=64MB ;;
  *) echo gzip --decompress --stdout ;;
  esac
}

# Reads all bytes also where they cannot be unpacked: who sends them hashes them. unpack_whole OBJECT [FILE, else to stdout]
unpack_whole() {
  local code=0 unpacker
  read -ra unpacker < <(unpacker_of "$1")
  # The file must be opened by whom it is to belong to.
  # shellcheck disable=SC2016 # sh expands it
  [[ -z ${2-} ]] || unpacker=(sh -c 'exec "$@" >"$0"' "$2" "${unpacker[@]}")
  "${verify_as[@]}" "${unpacker[@]}" || code=$?
  cat >/dev/null
  return "$code"
}

# Hands the packed bytes on stdin to a command, and leaves in the folder what was seen of them: hash_packed FOLDER COMMAND...
# dd counts, and reads more at once than others.
hash_packed() {
  local words=$1 hashing
  shift
  rm -rf "$words"
  mkdir -p "$words"
  mkfifo "$words/whole"
  digest <"$words/whole" >"$words/packed.sha256" &
  hashing=$!
  LC_ALL=C dd bs=128K iflag=fullblock 2>"$words/counted" | tee "$words/whole" | "$@"
  wait "$hashing"
  sed -n 's/^\([0-9]*\) bytes\? .*/\1/p' "$words/counted" >"$words/packed.size"
  rm "$words/whole"
}

# Of packed bytes on stdin: unpacked into a file, of which level 2 takes the digest as it lies there. More than was promised is not
# written, in no case: it would fill the disk. unpack_database OBJECT RAW-BYTES FOLDER FILE
unpack_database() {
  local code=0 written=0
  (
    trap '' XFSZ # a write beyond it fails, and is told
    ulimit -f "$(($2 / 1024 + 1))"
    unpack_whole "$1" "$4"
  ) 2>"$3/unpack" || code=$?
  # Whoever unpacks tells by words alone whether it could not read or not write.
  if ((code != 0)) && grep -Eq 'cannot create|No space left|quota exceeded|Read-only|Input/output error' "$3/unpack"; then written=$code; fi
  keep_codes "$3" "$code" "$written"
}

# The same handed to a command that keeps no copy of the bytes, so that they are hashed by the way: all of them, also where it fails.
unpack_archive() { # OBJECT RAW-BYTES FOLDER COMMAND...
  local object=$1 limit=$2 words=$3 pids=() codes=(0 0 0 0)
  shift 3
  mkfifo "$words"/{hashed,counted-raw}
  digest <"$words/hashed" >"$words/raw.sha256" & pids+=($!)
  wc -c <"$words/counted-raw" >"$words/raw.size" & pids+=($!)
  unpack_whole "$object" 2>"$words/unpack" | head -c "$((limit + 1))" | tee -p "$words"/{hashed,counted-raw} | "$@" || codes=("${PIPESTATUS[@]}")
  wait "${pids[@]}"
  rm "$words"/{hashed,counted-raw}
  keep_codes "$words" "${codes[0]}" "${codes[3]}"
}

keep_codes() { printf '%s\n' "$2" >"$1/unpacked" && printf '%s\n' "$3" >"$1/written"; }

read_database() { hash_packed "$3" unpack_database "$@"; }
read_archive() { hash_packed "$3" unpack_archive "$@"; }

could_be_written() { [[ $(<"$1/written") == 0 ]] || { echo 'its unpacked bytes could not be written' && return 1; }; }

# As unpack_archive leaves it, of what lies in a file.
hash_raw() { # FILE FOLDER
  "${verify_as[@]}" stat --format=%s "$1" >"$2/raw.size" && "${verify_as[@]}" cat "$1" | digest >"$2/raw.sha256"
}

# Level 2: all bytes are those that the manifest names; of a database, as they lie on the disk. bytes_agree ENTRY FOLDER [FILE]
bytes_agree() {
  local kind size sha256 found
  while read -r kind size sha256; do
    if [[ $kind == raw && -n ${3-} ]]; then
      # Who could not write kept the rest from being unpacked.
      could_be_written "$2" || return 2
      hash_raw "$3" "$2" || { echo 'its copy cannot be read' && return 2; }
    fi
    found=$(<"$2/$kind.size")
    [[ $kind == packed || $(<"$2/unpacked") == 0 ]] || ((found > size)) || { echo "it cannot be unpacked: $(head -c 200 "$2/unpack")" && return 1; }
    ((found == size)) || { echo "it has $found $kind bytes, not $size" && return 1; }
    found=$(<"$2/$kind.sha256")
    [[ $found == "$sha256" ]] || { echo "the SHA-256 of its $kind bytes is $found, not $sha256" && return 1; }
  done < <(jq -r '"packed \(.packed.size) \(.packed.sha256)\nraw \(.raw.size) \(.raw.sha256)"' <<<"$1")
  could_be_written "$2" || return 2
  echo "$(<"$2/raw.size") bytes, SHA-256 $(<"$2/raw.sha256")"
}

# Asks a database that nobody writes to; what sqlite3 complains of is printed as well.
ask_copy() { # FILE [STATEMENTS, else they come on stdin]
  "${verify_as[@]}" timeout "$verify_seconds" sqlite3 -batch -bail -init /dev/null "$(database_uri "$1" 'mode=ro&immutable=1')" "${@:2}" 2>&1
}

# Whose fault a code of sqlite3 is: the database's (1), or that of this machine (2): no memory, no reading, no room, no time.
blame() { case $1 in 7 | 10 | 13 | 14 | 1[1-9][0-9] | 10[2-9] | 2??) echo 2 ;; *) echo 1 ;; esac; }

# Rows that break a foreign key; null where a key points at no table, of which it cannot be told.
count_violations() {
  local told
  told=$(ask_copy "$1" 'SELECT count(*) FROM pragma_foreign_key_check;') || told=null
  if [[ $told =~ ^[0-9]{1,15}$ ]]; then printf '%s' "$told"; else printf null; fi
}

# Level 3: it opens, its size is that of its pages, its text is `ok`, and its foreign keys hold as they did. is_sound ENTRY FILE
is_sound() {
  local told code=0 size pages page_size tables beside violations known
  "${verify_as[@]}" test -r "$2" || { echo 'its copy cannot be read' && return 2; }
  # Counted beside the longest of all checks.
  exec {beside}< <(count_violations "$2")
  told=$(ask_copy "$2" 'PRAGMA integrity_check(1);') || code=$?
  ((code == 0)) || { echo "integrity_check ended with code $code: ${told:0:300}" && return "$(blame "$code")"; }
  [[ $told == ok ]] || { echo "integrity_check says: ${told:0:300}" && return 1; }
  told=$(ask_copy "$2" "SELECT (SELECT page_count FROM pragma_page_count) || ' ' || (SELECT page_size FROM pragma_page_size) || ' '
    || (SELECT count(*) FROM sqlite_master WHERE type = 'table');") || code=$?
  ((code == 0)) || { echo "sqlite3 ended with code $code: ${told:0:300}" && return "$(blame "$code")"; }
  [[ $told =~ ^([0-9]{1,15})\ ([0-9]{1,6})\ ([0-9]{1,9})$ ]] || { echo "it says of itself: ${told:0:300}" && return 1; }
  read -r pages page_size tables <<<"$told"
  size=$("${verify_as[@]}" stat --format=%s "$2") || return 2
  [[ $size =~ ^[0-9]{1,15}$ && $size == "$((pages * page_size))" ]] || { echo "it has $size bytes, and $pages pages of $page_size" && return 1; }
  ((tables >= 1)) || { echo 'it has no table' && return 1; }
  violations=$(cat <&"$beside")
  exec {beside}<&-
  known=$(jq -r 'if has("foreign_key_violations") then .foreign_key_violations else 0 end' <<<"$1")
  [[ $violations == "$known" ]] || { echo "$violations rows break a foreign key, not $known" && return 1; }
  echo "ok, $pages pages, $tables tables, $violations foreign key violations"
}

schema_digest() { ask_copy "$1" "$schema_statements" | digest; }

rows_of() { ask_copy "$1" "$count_statements" | ask_copy "$1" | jq -Scs 'add // {}'; }

# Level 4: what is in it is what the manifest says. holds_the_same ENTRY FILE
holds_the_same() {
  local found wanted code=0
  found=$(schema_digest "$2")
  wanted=$(jq -r .schema <<<"$1")
  [[ $found == "$wanted" ]] || { echo "its schema is $found, not $wanted" && return 1; }
  found=$(ask_copy "$2" "SELECT (SELECT page_size FROM pragma_page_size) || ' ' || (SELECT page_count FROM pragma_page_count) || ' '
    || (SELECT user_version FROM pragma_user_version);") || code=$?
  ((code == 0)) || { echo "sqlite3 ended with code $code: ${found:0:300}" && return "$(blame "$code")"; }
  wanted=$(jq -r '"\(.page_size) \(.pages) \(.user_version)"' <<<"$1")
  [[ $found == "$wanted" ]] || { echo "page size, pages and user_version are ${found:0:60}, not $wanted" && return 1; }
  found=$(rows_of "$2") || { echo "its rows could not be counted: ${found:0:300}" && return 1; }
  found=$(jq -rs '.[0] as $found | .[1].tables as $wanted | [$found + $wanted | keys[] | select($found[.] != $wanted[.])] as $odd
    | if $odd == [] then "\($wanted | add // 0) rows in \($wanted | length) tables"
      else $odd[0] | "table \(.) has \($found[.] // "no") rows, not \($wanted[.] // "any"); \($odd | length) differ" end' <<<"$found$1")
  echo "$found"
  [[ $found != table\ * ]]
}

judge() { # LEVEL ENTRY FILE FOLDER
  case $1 in
  2) bytes_agree "$2" "$4" "$3" ;;
  3) is_sound "$2" "$3" ;;
  4) holds_the_same "$2" "$3" ;;
  esac
}

# The negative control: a copy of a good database with one byte flipped in a page, and a manifest that tells of a row more, must be
# refused by what judged the real one. Prints what passed, or nothing. control_passes ENTRY FILE FOLDER COPY
control_passes() {
  local page offset byte lied
  "${verify_as[@]}" cp --reflink=auto -T "$2" "$4" || return 2
  read -r page offset < <(ask_copy "$2" "SELECT rootpage || ' ' || ((rootpage - 1) * (SELECT page_size FROM pragma_page_size))
    FROM sqlite_master WHERE rootpage > 1 ORDER BY rootpage LIMIT 1;")
  [[ $page =~ ^[0-9]+$ && $offset =~ ^[0-9]+$ ]] || return 2
  byte=$("${verify_as[@]}" od --address-radix=n --format=u1 --skip-bytes="$offset" --read-bytes=1 "$4") || return 2
  # shellcheck disable=SC2059 # the format is the byte
  printf "\\x$(printf '%x' "$((byte ^ 255))")" |
    "${verify_as[@]}" dd of="$4" bs=1 seek="$offset" conv=notrunc status=none || return 2
  is_refused 2 "$1" "$4" "$3" || { echo "one byte of page $page was flipped, and level 2 passed" && return 0; }
  is_refused 3 "$1" "$4" "$3" || { echo "one byte of page $page was flipped, and level 3 passed" && return 0; }
  lied=$(jq -c '(.tables | keys[0]) as $one | .tables[$one // "none"] += 1' <<<"$1")
  is_refused 4 "$lied" "$2" "$3" || { echo 'the manifest told of one row more, and level 4 passed' && return 0; }
  return 1
}

is_refused() {
  local code=0
  judge "$@" >/dev/null || code=$?
  ((code == 1))
}
