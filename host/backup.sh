#!/bin/bash
# Copies the data and the live code to the backup bucket.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/guard.sh

action=backup

# No operation is begun here, so a refusal is told at once.
refuse() { tell_only refused "$@"; }

check_host
tell_only refused backup-precondition 'This version of Understudy does not know backing up yet; nothing was done.'
