#!/usr/bin/env bash
# Install the operator that runs PostgreSQL: postgres-operator.sh CONTEXT, a kubeconfig
# context.
set -euo pipefail

# With Helm, because the definitions of the operator are too large for `kubectl apply`.
helm upgrade cnpg cloudnative-pg --install --wait --timeout 10m \
    --repo https://cloudnative-pg.github.io/charts --version 0.29.1 \
    --kube-context "$1" --namespace cnpg-system --create-namespace
