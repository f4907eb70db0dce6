#!/usr/bin/env bash
# Install the operator that keeps Redis alive: redis-operator.sh CONTEXT, the cluster as
# kubectl and helm know it.
set -euo pipefail

helm upgrade redis-operator redis-operator --install --wait --timeout 10m \
    --repo https://ot-container-kit.github.io/helm-charts/ --version 0.26.1 \
    --kube-context "$1" --namespace redis-operator --create-namespace
