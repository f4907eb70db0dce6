#!/usr/bin/env bash
# Install the operator that runs Redis: redis-operator.sh CONTEXT, a kubeconfig context.
set -euo pipefail

helm upgrade redis-operator redis-operator --install --wait --timeout 10m \
    --repo https://ot-container-kit.github.io/helm-charts/ --version 0.26.1 \
    --kube-context "$1" --namespace redis-operator --create-namespace
