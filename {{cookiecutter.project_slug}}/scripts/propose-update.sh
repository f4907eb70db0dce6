#!/usr/bin/env bash
# Propose what is new in the template: by a pull request with the merge, conflicts
# included, where UPDATE_TOKEN may push it; else by an issue, with ISSUE_TOKEN. What was
# proposed once is not proposed again, whatever became of it.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -e .cruft.json ]; then
    echo "There is no .cruft.json, so the template of this project is not known."
    exit 0
fi
code=0
standing=$(env -u UPDATE_TOKEN -u ISSUE_TOKEN mvc check --json) || code=$?
# 3 says that the template is ahead.
if [ "$code" != 3 ]; then
    echo "$standing"
    exit "$code"
fi
latest=$(python3 -c 'import json, sys
found = json.loads(sys.argv[1])
print(found["latest_checkout"] or found["latest_commit"][:12])' "$standing")
title="Update to $latest of the template"
branch=template-$latest

open_issue() {
    local titles
    export GH_TOKEN=$ISSUE_TOKEN
    titles=$(gh issue list --state all --limit 1000 --json title --jq '.[].title')
    if grep -qxF "$title" <<<"$titles"; then
        echo "There has been an issue: $title"
        return
    fi
    gh issue create --title "$title" --body \
        "Type \`mvc update\` in a clone, or see docs/continuous-integration.md for how this is made a pull request."
}

open_pull_request() {
    local code=0 conflicts
    export GH_TOKEN=$UPDATE_TOKEN
    if [ -n "$(gh pr list --head "$branch" --state all --json url --jq '.[].url')" ]; then
        echo "There has been a pull request: $branch"
        return
    fi
    git switch --quiet --create "$branch"
    # What the template runs is not told the tokens.
    env -u GH_TOKEN -u UPDATE_TOKEN -u ISSUE_TOKEN mvc update --no-input || code=$?
    # 3 says that files conflict.
    [ "$code" = 0 ] || [ "$code" = 3 ] || exit "$code"
    conflicts=$(git -c core.quotePath=false diff --name-only --diff-filter=U | sed 's/^/- /')
    git add --all
    git -c user.name="github-actions[bot]" \
        -c user.email="41898282+github-actions[bot]@users.noreply.github.com" \
        commit --quiet --no-verify --message "$title"
    gh auth setup-git
    git push --quiet --force origin "$branch"
    gh pr create --head "$branch" --title "$title" --body \
        "${conflicts:+Resolve the conflicts on this branch before you merge it:$'\n\n'$conflicts}" || {
        git push --quiet origin --delete "$branch"
        exit 1
    }
}

if [ -n "${UPDATE_TOKEN:-}" ]; then
    open_pull_request
else
    open_issue
fi
