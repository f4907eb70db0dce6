#!/usr/bin/env bash
# Propose what merge-template.sh has put into proposal/: by a pull request, where
# UPDATE_TOKEN may push it; else by an issue, with ISSUE_TOKEN. What was proposed once is
# not proposed again, whatever became of it.
set -euo pipefail
cd "$(dirname "$0")/.."

title=$(cat proposal/title)
branch=$(cat proposal/branch)
# Code of the template has written it, and the token may push to any branch or tag.
if ! [[ $branch =~ ^template-[A-Za-z0-9._/+-]+$ ]]; then
    echo "\`$branch\` is not the name of a proposal." >&2
    exit 1
fi

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
    local conflicts
    export GH_TOKEN=$UPDATE_TOKEN
    if [ -n "$(gh pr list --head "$branch" --state all --json url --jq '.[].url')" ]; then
        echo "There has been a pull request: $branch"
        return
    fi
    conflicts=$(sed 's/^/- /' proposal/conflicts)
    git fetch --quiet proposal/commits.bundle "$branch:$branch"
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
