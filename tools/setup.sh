#!/usr/bin/env bash
# Make .venv from the lock: `run` is what the command utd needs, `dev` adds what checks and tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}
# A working copy that has the tools of `dev` keeps them: `run` is a part of it.
if [ "$what" = run ] && [ -x .venv/bin/pytest ]; then what=dev; fi
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup: $python is not Python 3.11 or newer. Install it, or name one: make PYTHON=python3.11 …" >&2
  exit 1
fi
lock=$(cat requirements/uv.txt requirements/"$what".txt packages/*/pyproject.toml | cksum)
stamp=.venv/setup-$what
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$lock" ]; then exit 0; fi

echo "setup: making .venv ($what) …" >&2
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
.venv/bin/uv pip sync --quiet --require-hashes requirements/uv.txt requirements/"$what".txt
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation \
  -e packages/protocol -e packages/sdk -e packages/engine -e packages/cli
rm -f .venv/setup-*
echo "$lock" >"$stamp"
