#!/usr/bin/env bash
# Propose the merge that merge-template.sh wrote to proposal/: as a pull request if there is
# an UPDATE_TOKEN, otherwise as an issue, with ISSUE_TOKEN. Each update is proposed only once,
# even if the proposal was closed.
set -euo pipefail
cd "$(dirname "$0")/.."

title=$(cat proposal/title)
branch=$(cat proposal/branch)
# It was written by code of the template, and the token can push to any branch or tag.
if ! [[ $branch =~ ^template-[A-Za-z0-9._/+-]+$ ]]; then
    echo "\`$branch\` is not the name of a proposal." >&2
    exit 1
fi

open_issue() {
    local titles
    export GH_TOKEN=$ISSUE_TOKEN
    titles=$(gh issue list --state all --limit 1000 --json title --jq '.[].title')
    if grep -qxF "$title" <<<"$titles"; then
        echo "This update already has an issue: $title"
        return
    fi
    gh issue create --title "$title" --body \
        "Run \`mvc update\` in a clone. docs/continuous-integration.md explains how to get a pull request instead."
}

open_pull_request() {
    local conflicts
    export GH_TOKEN=$UPDATE_TOKEN
    if [ -n "$(gh pr list --head "$branch" --state all --json url --jq '.[].url')" ]; then
        echo "This update already has a pull request: $branch"
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
