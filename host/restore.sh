#!/bin/bash
# Puts a chosen backup back, or proves that it restores.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/guard.sh

action=restore

# No operation is begun here, so a refusal is told at once.
refuse() { tell_only refused "$@"; }

check_host
tell_only refused drill-could-not-run 'This version of Understudy does not know restoring yet; nothing was done.'
