#!/bin/bash
# firewall lay|check|keep: leaves the instance metadata to root alone, and nothing of the network to the app of a drill host, or
# says (on stderr, code 1) why it is not so;
# `keep` goes on, and lays the rules again whenever somebody takes them away (a bare `nft flush ruleset`).
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

laid=/etc/understudy/metadata.nft

say() { printf '%s\n' "$*" >&2; }

in_force() {
  local address rules
  rules=$(nft --stateless list chain inet understudy output 2>/dev/null) || rules=''
  for address in 'ip daddr 169.254.169.254' 'ip6 daddr fd00:ec2::254'; do
    if [[ $rules != *'hook output'*"$address meta skuid != 0 "*reject* ]]; then
      say "The rule that leaves the instance metadata to root ($address) is not in force."
      return 1
    fi
  done
  if grep --quiet 'oifname != "lo"' "$laid" && [[ $rules != *'hook output'*'meta skuid {'*'oifname != "lo" '*reject* ]]; then
    say 'The rule that keeps the users of this drill host from the network is not in force.'
    return 1
  fi
}

# Both that the rules are in force and that they hold: no answer alone may be a network that is down.
check() {
  in_force || return 1
  if setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    curl -q --silent --max-time 3 --noproxy '*' --output /dev/null http://169.254.169.254/latest/meta-data/; then
    say 'Other users than root still reach the instance metadata.'
    return 1
  fi
}

lay() { nft -f "$laid"; }

# Looks once more than the kernel tells of: what was taken away before we listened.
keep() {
  while read -r _; do
    in_force || lay
  done < <(
    (sleep 1 && echo look) &
    exec nft monitor destroy
  )
}

case ${1:-} in
lay) lay ;;
check) check ;;
keep) keep ;;
*) say 'firewall lay|check|keep' && exit 64 ;;
esac
