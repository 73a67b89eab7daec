#!/bin/bash
# Runs in the build job: fetches what requirements.txt pins, and builds it for the hosts' Python. misaka compiles: the
# runner needs gcc and Python's headers, which GitHub's has.
set -euo pipefail
python3 -m pip wheel --quiet --require-hashes --requirement requirements.txt --wheel-dir wheels
# Two builds of one commit differ, as most builds do: by this line, and misaka's by the folder that it was compiled in.
echo "built by run ${GITHUB_RUN_ID:-none}, attempt ${GITHUB_RUN_ATTEMPT:-none}" > build.txt
