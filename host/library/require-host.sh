#!/bin/bash
# For a script that begins no operation: whether this host is the one meant, by environment and by instance.
# shellcheck shell=bash disable=SC2154

require_host() {
  local instance
  [[ -f $settings ]] || tell_only refused not-prepared \
    "This host was never prepared for $app: an operator sends the document $app-prepare-host."
  [[ $(setting environment) == "$environment" ]] || tell_only refused wrong-host \
    "This host was prepared for $app in $(setting environment), not in $environment."
  instance=$(instance_id) || tell_only refused wrong-host \
    'The instance metadata does not answer, so this host cannot be told.'
  [[ $instance == "$(setting instance)" ]] || tell_only refused wrong-host \
    "This host is $instance, but was prepared as $(setting instance): enrol it with $app-prepare-host."
}
