#!/usr/bin/env bash
# Install the operator that keeps PostgreSQL alive: postgres-operator.sh CONTEXT, the cluster
# as kubectl and helm know it.
set -euo pipefail

# By Helm, because `kubectl apply` cannot take definitions as large as those of the operator.
helm upgrade cnpg cloudnative-pg --install --wait --timeout 10m \
    --repo https://cloudnative-pg.github.io/charts --version 0.29.1 \
    --kube-context "$1" --namespace cnpg-system --create-namespace
