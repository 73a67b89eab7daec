#!/bin/bash
# Lays down what an app needs on a host, from scalars alone: users, folders, settings, units. Idempotent. Sent by
# an operator; CI may not.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/watch.sh
# include library/sandbox.sh
# include library/enrolment.sh
# include library/scrub.sh

action=prepare-host
short=$(live_release)
folder=$home/releases/$short

# embed units/check.sh as file_check
# embed units/understudy-check@.service as file_check_service
# embed units/understudy-check@.timer as file_check_timer
# embed units/app.socket as file_app_socket
# embed units/app@.service as file_app_service
# embed units/app-probe@.socket as file_probe_socket
# embed units/app-rehearse@.service as file_rehearse_service
# embed units/app-rehearse@.socket as file_rehearse_socket
# embed units/app-pause.service as file_pause_service
# embed units/app-worker@.service as file_worker_service
# embed units/understudy-boot@.service as file_boot_service
# embed units/understudy-recover@.service as file_recover_service
# embed units/understudy-env@.service as file_env_service
# embed units/understudy-firewall.service as file_firewall_service
# embed units/understudy-firewall-keep.service as file_firewall_keep_service
# embed units/understudy-logrotate.service as file_logrotate_service
# embed units/understudy-logrotate.timer as file_logrotate_timer
# embed units/timer.conf as file_timer
# embed units/metadata.nft as file_metadata
# embed units/nftables.conf as file_nftables
# embed units/firewall.sh as file_firewall
# embed units/logrotate.conf as file_logrotate
# embed units/generator.sh as file_generator
# embed units/boot.sh as file_boot
# embed units/recover.sh as file_recover
# embed units/hold.py as file_hold
# embed units/wake.py as file_wake
# embed units/environment.sh as file_environment

refuse_host() {
  [[ -d $journal ]] || tell_only refused unrecognised-host "$1"
  refuse unrecognised-host "$1"
}

# ---- what this host must be -------------------------------------------------------------------------------

check_tools() {
  local tool version
  for tool in systemctl systemd-run jq curl sqlite3 aws flock setpriv python3 tar gzip sha256sum nft ps nsenter logrotate; do
    command -v "$tool" >/dev/null || refuse_host "The host lacks $tool."
  done
  version=$(systemctl --version | head -n 1 | cut -d ' ' -f 2)
  ((${version%%[.~-]*} >= 250)) || refuse_host "The host has systemd $version; 250 or later is needed."
  [[ -e /proc/sys/net/ipv4/tcp_migrate_req ]] || refuse_host "The host has Linux $(uname -r); 5.14 or later is needed."
  aws s3api put-object --bucket b --key k --if-none-match '*' --generate-cli-skeleton >/dev/null 2>&1 || refuse_host \
    "The host's aws ($(aws --version 2>&1 | cut -d ' ' -f 1)) has no 'put-object --if-none-match': install version 2.18 or later, or 1.35."
}

# An app named shop-worker would take the units of the workers of shop.
check_name() {
  [[ ! $app =~ ^understudy(-|$)|-(probe|rehearse|worker|pause)$ ]] || refuse_host \
    'The name of an app may not be or begin with understudy, nor end in -probe, -rehearse, -worker or -pause: its units would be those of another.'
}

check_place() {
  local other
  # Root works below them, and systemd waits for the volumes they lie on: by their names, not by where a link leads.
  for other in "$home" "$state"; do
    [[ $(realpath --canonicalize-missing "$other") == "$other" ]] ||
      refuse_host "$other leads elsewhere by a symbolic link: mount a volume there instead."
  done
  if [[ ! -f $settings && -d $home && -n $(ls -A "$home") ]]; then
    refuse_host "$home exists and is not ours: move it away."
  fi
  for other in {/usr,}/lib/systemd/system/"$app"{.service,.socket,@.service,@.socket} "/etc/systemd/system/$app.service"; do
    [[ ! -e $other ]] || refuse_host "The host has a unit $other already: choose another name for the app."
  done
  for other in /etc/systemd/system/"$app"{.socket,@.service}; do
    [[ -f $settings || ! -e $other ]] || refuse_host "The host has a unit $other already, which is not ours."
  done
  for other in /etc/understudy/*.json; do
    [[ -f $other && $other != "$settings" ]] || continue
    [[ $(jq .port "$other") != "$port" ]] || refuse_host "Port $port belongs to the app $(basename "$other" .json)."
  done
  if [[ -n $(ss --no-header --listening --tcp --numeric "sport = :$port") ]] && ! is_ours "$port"; then
    refuse_host "Port $port is held by another program: $(holder_of "$port")."
  fi
  [[ -n $this_instance ]] || refuse_host 'The instance metadata does not answer, so the instance cannot be told.'
  if id "$user" >/dev/null 2>&1 && (($(id -u "$user") == 0)); then refuse_host 'The app may not run as root.'; fi
  [[ $user != understudy-build && $user != "$app-rehearse" ]] || refuse_host "The user $user has another use."
}

is_ours() {
  [[ -f $settings && $(setting port) == "$1" ]] &&
    { systemctl --quiet is-active "$app.socket" || systemctl --quiet is-active "$app@*.service"; }
}

# ---- what is laid down ------------------------------------------------------------------------------------

make_user() {
  local name=$1 where=$2
  id "$name" >/dev/null 2>&1 && return
  useradd --system --user-group --no-create-home --home-dir "$where" --shell /usr/sbin/nologin "$name"
  keep_fact changed "user $name"
}

make_users() {
  make_user "$user" "$home/shared"
  make_user understudy-build /nonexistent
  make_user "$app-rehearse" "$home/shared"
}

make_folders() {
  install -d -m 0755 "$home" "$home/releases" /etc/understudy /etc/understudy/logrotate.d /var/lib/understudy "$installed" \
    /etc/systemd/system-generators /etc/systemd/system/{nftables.service.d,timer.d}
  install -d -m 0711 "$state"
  install -d -m 0700 "$state/operations"
  if [[ ! -d $home/shared ]]; then
    install -d -m 0750 -o "$user" -g "$(id -g "$user")" "$home/shared"
  fi
}

filled() {
  local text type=exec sockets="Sockets=$app.socket $app-probe@%i.socket" rehearse="Sockets=$app-rehearse@%i.socket"
  text=$("$1")
  text=${text//__CUT__/$(cut_off)}
  [[ $notify == false ]] || type=notify
  if [[ $switch == restart ]]; then sockets='' rehearse=''; fi
  text=${text//__BEAT__/$(beat_seconds)}
  text=${text//__APP__/$app}
  text=${text//__USER__/$user}
  text=${text//__GROUP__/$(id -gn "$user")}
  text=${text//__PORT__/$port}
  text=${text//__ENVIRONMENT__/$environment}
  text=${text//__TYPE__/$type}
  text=${text//__SOCKETS__/$sockets}
  printf '%s\n' "${text//__REHEARSE_SOCKETS__/$rehearse}"
}

# A drill host runs an app on real data, which may send mail, call others, or be somebody's way out.
cut_off() {
  local users="meta skuid { \"$user\", \"$app-rehearse\", \"understudy-build\" }"
  [[ $environment == drill ]] || return 0
  printf '    %s oifname != "lo" counter reject\n    %s meta l4proto { tcp, udp } th dport 53 counter reject\n' "$users" "$users"
}

lay_file() { # TARGET MODE FUNCTION
  local target=$1 mode=$2
  if [[ -f $target && $(filled "$3") == "$(<"$target")" && $(stat --format=%a:%u "$target") == "${mode#0}:0" ]]; then return; fi
  filled "$3" | write_whole "$target" "$mode"
  keep_fact changed "$target"
}

lay_files() {
  local kept units=/etc/systemd/system
  lay_file "$installed/boot" 0755 file_boot
  lay_file "$installed/recover" 0755 file_recover
  lay_file "$installed/hold" 0755 file_hold
  lay_file "$installed/wake" 0755 file_wake
  lay_file "$installed/environment" 0755 file_environment
  lay_file /etc/systemd/system-generators/understudy 0755 file_generator
  lay_file "$installed/firewall" 0755 file_firewall
  lay_file /etc/understudy/metadata.nft 0644 file_metadata
  lay_file "$units/nftables.service.d/understudy.conf" 0644 file_nftables
  lay_file "/etc/understudy/logrotate.d/$app.conf" 0644 file_logrotate
  lay_file "/etc/tmpfiles.d/understudy-$app.conf" 0644 file_tmpfiles
  lay_file "$units/timer.d/understudy-$app.conf" 0644 file_timer
  lay_file "$units/understudy-boot@.service" 0644 file_boot_service
  lay_file "$units/understudy-recover@.service" 0644 file_recover_service
  lay_file "$installed/check" 0755 file_check
  lay_file "$units/understudy-check@.service" 0644 file_check_service
  lay_file "$units/understudy-check@.timer" 0644 file_check_timer
  lay_file "$units/understudy-env@.service" 0644 file_env_service
  lay_file "$units/understudy-firewall.service" 0644 file_firewall_service
  lay_file "$units/understudy-firewall-keep.service" 0644 file_firewall_keep_service
  lay_file "$units/understudy-logrotate.service" 0644 file_logrotate_service
  lay_file "$units/understudy-logrotate.timer" 0644 file_logrotate_timer
  lay_file "$units/$app@.service" 0644 file_app_service
  lay_file "$units/$app-rehearse@.service" 0644 file_rehearse_service
  lay_file "$units/$app-worker@.service" 0644 file_worker_service
  if [[ $switch == restart ]]; then
    if serves_by_socket; then
      kept=$units/$app@$(live_release).service.d
      install -d -m 0755 "$kept"
      lay_file "$kept/socket.conf" 0644 file_kept_socket
    fi
    return
  fi
  lay_file "$units/$app.socket" 0644 file_app_socket
  lay_file "$units/$app-pause.service" 0644 file_pause_service
  lay_file "$units/$app-probe@.socket" 0644 file_probe_socket
  lay_file "$units/$app-rehearse@.socket" 0644 file_rehearse_socket
}

# Until the next deploy, a live release that was made for a socket keeps it, also when it starts again.
serves_by_socket() {
  local description
  description=$state/releases/$(live_release).description.json
  [[ -f $description && $(jq -r .service.switch "$description") != restart ]]
}

file_kept_socket() { printf '[Service]\nSockets=__APP__.socket __APP__-probe@%%i.socket\n'; }

file_tmpfiles() { printf 'd /run/understudy 0755 root root -\nd /run/understudy/__APP__ 0755 root root -\n'; }

# What root believes from now on.
lay_settings() {
  local wanted
  wanted=$(jq -nSc --arg app "$app" --arg environment "$environment" --arg instance "$this_instance" --arg region "$region" \
    --arg bucket "$bucket" --arg backups "${backups:-none}" --arg user "$user" --argjson port "$port" --arg switch "$switch" --argjson notify "$notify" \
    --arg workers "$workers" '{schema: 1, $app, $environment, $instance, $region, $bucket, $backups, $user, $port, $switch, $notify,
      workers: (if $workers == "none" then [] else $workers | split(",") end)}')
  if [[ -f $settings && $(jq -Sc 'del(.prepared)' "$settings") == "$wanted" ]]; then return; fi
  jq --arg prepared "$(date -u +%FT%TZ)" '. + {$prepared}' <<<"$wanted" | write_whole "$settings" 0644
  keep_fact changed "$settings"
}

raise_units() {
  systemd-tmpfiles --create "/etc/tmpfiles.d/understudy-$app.conf"
  if [[ $switch == restart ]] && ! serves_by_socket; then drop_sockets; fi
  if is_unenrolled; then
    if [[ ${wake:-yes} == no ]]; then fall_asleep; else keep_fact wakes yes; fi
    keep_fact changed "$unenrolled"
    rm "$unenrolled"
  fi
  remember_machine
  systemctl daemon-reload # also after a run that died just before it
  enable_unit understudy-firewall.service
  enable_unit understudy-logrotate.timer
  raise_firewall
  systemctl start understudy-firewall-keep.service
  systemctl start "understudy-boot@$app.service"
  stop_old_workers
  if [[ $switch != restart ]]; then raise_socket; fi
  if has_fact wakes; then wake_app; fi
  if [[ ${wake:-yes} == yes ]]; then wake_up; fi
  raise_checks
}

# What would have started at boot, had the machine been enrolled by then.
wake_app() {
  local live worker
  live=$(live_release)
  if [[ -z $live ]]; then return; fi
  systemctl --no-block start "understudy-env@$app.service" "$app@$live.service"
  for worker in ${workers//,/ }; do [[ $worker == none ]] || systemctl --no-block start "$app-worker@$worker.service"; done
  start_clockwork
}

raise_checks() {
  local timer=understudy-check@$app.timer
  if systemctl --quiet is-active "$timer" && ! fact_is_any /etc/systemd/system/understudy-check@.timer; then return; fi
  systemctl restart "$timer"
  keep_fact changed "$timer"
}

# By a reload: a restart would restart the apps, which require it.
raise_firewall() {
  if ! fact_is_any /etc/understudy/metadata.nft && "$installed/firewall" check; then return; fi
  systemctl reload understudy-firewall.service
  keep_fact changed understudy-firewall.service
}

# A worker that is listed no more, or under another name.
stop_old_workers() {
  local name
  while read -r name _; do
    [[ ,$workers, != *",$(behind_at "$name"),"* ]] || continue
    systemctl stop "$name"
    systemctl reset-failed "$name" 2>/dev/null || true # most have not failed
    keep_fact changed "$name"
  done < <(systemctl list-units --all --plain --no-legend --state=active,activating,reloading,deactivating,failed "$app-worker@*.service")
}

# Under `restart` the app binds the port itself, so systemd lets go of it.
drop_sockets() {
  local name units=/etc/systemd/system
  for name in "$app-"{probe,rehearse}@.socket "$app-pause.service" "$app.socket"; do
    [[ -e $units/$name ]] || continue
    systemctl stop "${name/@./@*.}"
    rm -f "$units/$name"
    keep_fact changed "$units/$name"
  done
  rm -f "$units/$app@"????????????.service.d/socket.conf
}

enable_unit() {
  if ! systemctl --quiet is-enabled "$1" || ! systemctl --quiet is-active "$1"; then
    systemctl --quiet enable --now "$1"
    keep_fact changed "$1"
  fi
}

fact_is_any() { journal_lines | jq -en --arg value "$1" '[inputs | select(.fact == "changed") | .value] | index($value)' >/dev/null; }

# Opening the port anew closes it for a moment and restarts the app, so only when it must be.
raise_socket() {
  local live
  if systemctl --quiet is-active "$app.socket" && ! fact_is_any "/etc/systemd/system/$app.socket"; then return; fi
  live=$(live_release)
  # A socket does not start beside a service that it is to start.
  systemctl stop "$app.socket" "$app-pause.service" "$app-probe@*.socket" "$app@*.service"
  systemctl start "$app.socket"
  if [[ -n $live ]]; then systemctl start --no-block "$app@$live.service"; else systemctl start "$app-pause.service"; fi
  keep_fact changed "$app.socket"
}

# Users, hooks and apps must not reach the metadata: tried, not believed.
check_firewall() {
  local problem
  problem=$("$installed/firewall" check 2>&1) || fail prepare-host-failed "$problem"
  instance_id >/dev/null || fail prepare-host-failed 'Root no longer reaches the instance metadata.'
}

# ---- the story --------------------------------------------------------------------------------------------

give_up() {
  finish "$(failure result)" "$(failure reason | grep . || echo prepare-host-failed)" "$(failure sentence)"
  exit 0
}

work() {
  install -d -m 0711 "$state"
  recover_first
  if ! lock_host 0; then
    finish refused busy "Operation $(head -n 1 "$state/lock") is at work on this host."
    return
  fi
  keep_fact started "$(uptime_ms)"
  # Asked once: who no longer hears an answer must not take this machine for a copy, and stop what serves on it.
  this_instance=$(instance_id) || this_instance=''
  step recognise recognise
  step users make_users
  step folders make_folders
  if is_copy; then step aside lay_aside; fi
  if has_origin; then step scrub scrub_data; fi
  step settings lay_settings
  read_settings
  step files lay_files
  step units raise_units
  step firewall check_firewall
  if has_fact changed; then
    finish 'done' prepared "The host is prepared for $app in $environment on port $port, switched by $switch.$(tell_scrubbed)"
  else
    finish unchanged already-prepared "The host was prepared for $app already; nothing was changed."
  fi
}

# Before the lock is ours, by which whoever starts the app would take the data to be in our charge.
recover_first() {
  if [[ ! -f $settings ]] || is_unenrolled || systemctl start "understudy-boot@$app.service" || is_unenrolled; then return; fi
  finish failed prepare-host-failed \
    "What a dead operation left in the data could not be put right: on the host, see journalctl --unit understudy-boot@$app."
  exit 0
}

recognise() {
  check_name
  check_tools
  check_place
  check_origin
}

case ${1:-watch} in
watch)
  command -v jq >/dev/null || { # without it not even a result can be written as the others are
    printf 'UNDERSTUDY_RESULT {"schema":1,"action":"prepare-host","operation":"%s","result":"refused","reason":"unrecognised-host","sentence":"The host lacks jq.","details":""}\n' "$operation"
    exit 2
  }
  watch
  ;;
work) work ;;
esac
