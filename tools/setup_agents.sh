#!/usr/bin/env bash
# Make .venv-agents from its lock: a real LiveKit agent for the tests, in an environment of its own,
# since its package pins an older `livekit` than ours.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=$(cksum <requirements/agents.txt)
stamp=.venv-agents/setup
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$lock" ]; then exit 0; fi

echo "setup: making .venv-agents …" >&2
[ -x .venv/bin/uv ] || tools/setup.sh run
[ -x .venv-agents/bin/python ] || .venv/bin/python -m venv --without-pip .venv-agents
.venv/bin/uv pip sync --quiet --require-hashes --python .venv-agents/bin/python requirements/agents.txt
echo "$lock" >"$stamp"
