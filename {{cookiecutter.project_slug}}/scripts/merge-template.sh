#!/usr/bin/env bash
# Merge the changes of the template, conflicts included, on a separate branch, and write the
# input of propose-update.sh to proposal/: title, branch, conflicts, commits.bundle.
# The template runs code here, so the environment must not contain a token.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -e .cruft.json ]; then
    echo "There is no .cruft.json, so the template of this project is unknown."
    exit 0
fi
if ! command -v mvc >/dev/null; then
    # The version at the last merge, which has been reviewed.
    pipx install --quiet "$(python3 -c 'import json
print("git+{template}@{commit}".format(**json.load(open(".cruft.json"))))')"
fi
code=0
report=$(mvc check --json) || code=$?
# 3 means that the template is ahead.
if [ "$code" != 3 ]; then
    echo "$report"
    exit "$code"
fi
latest=$(python3 -c 'import json, sys
found = json.loads(sys.argv[1])
print(found["latest_checkout"] or found["latest_commit"][:12])' "$report")
branch=template-$latest

git switch --quiet --create "$branch"
code=0
mvc update --no-input || code=$?
# 3 means that files conflict.
[ "$code" = 0 ] || [ "$code" = 3 ] || exit "$code"
mkdir proposal
echo "Update to $latest of the template" >proposal/title
echo "$branch" >proposal/branch
git -c core.quotePath=false diff --name-only --diff-filter=U >proposal/conflicts
git add --all -- . ':!proposal'
git -c user.name="github-actions[bot]" \
    -c user.email="41898282+github-actions[bot]@users.noreply.github.com" \
    commit --quiet --no-verify --message "$(cat proposal/title)"
git bundle create --quiet proposal/commits.bundle "HEAD~1..$branch"
[ -z "${GITHUB_OUTPUT:-}" ] || echo "ahead=true" >>"$GITHUB_OUTPUT"
