#!/usr/bin/env bash
# Run the service in its own Kubernetes cluster, in a container on this machine.
#
#   dev-env.sh create    create the cluster, unless it exists
#   dev-env.sh install   install the image, operators and the chart, print the address
#   dev-env.sh test      send a request to the service from inside the cluster
#   dev-env.sh show      print all resources, events and the logs of the pods
#   dev-env.sh delete    delete the cluster with everything in it
set -euo pipefail
cd "$(dirname "$0")/.."

name={{ cookiecutter.project_slug }}
# A node is named after its cluster, and a host name has at most 63 characters.
cluster={{ cookiecutter.project_slug[:40] }}
context=kind-$cluster
node_port=30080

exists() {
    kind get clusters 2>/dev/null | grep -qx "$cluster"
}

create() {
    local tool missing=""
    for tool in docker kind kubectl helm; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    if [ -n "$missing" ]; then
        echo "Not found:$missing. See docs/deployment/kubernetes.md." >&2
        exit 1
    fi
    if ! docker info >/dev/null 2>&1; then
        echo "The docker engine is not running. Start it." >&2
        exit 1
    fi
    exists || kind create cluster --name "$cluster" --config - <<CONFIG
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    image: kindest/node:v1.36.1@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5
    extraPortMappings:
      - containerPort: $node_port
        hostPort: ${PORT:-8000}
        listenAddress: 127.0.0.1
CONFIG
}

install() {
    local operator version
    version=$(make --silent show-version)
    kind load docker-image "$name:$version" --name "$cluster"
    for operator in scripts/*-operator.sh; do
        if [ -e "$operator" ]; then
            "$operator" "$context"
        fi
    done
    # The same restrictions that production should have.
    kubectl --context "$context" label namespace default --overwrite \
        pod-security.kubernetes.io/enforce=restricted
    # This cluster has no metrics server, which autoscaling needs. A rebuilt image keeps its
    # name, so its digest is an annotation: a new digest replaces the pods.
    helm upgrade "$name" "charts/$name" --install --kube-context "$context" \
        --set-string image.tag="$version" --set autoscaling.enabled=false \
        --set service.type=NodePort --set service.nodePort="$node_port" \
        --set-string podAnnotations.image="$(docker images --no-trunc --quiet "$name:$version")"
    kubectl --context "$context" rollout status "deployment/$name" --timeout=10m
    echo "http://$(docker port "$cluster-control-plane" "$node_port/tcp")/docs answers until you type: make clean"
}

check() {
    helm test "$name" --kube-context "$context"
}

show() {
    kubectl --context "$context" get all,events --all-namespaces
    kubectl --context "$context" logs --selector "app.kubernetes.io/name=$name" --tail=-1 --prefix
}

delete() {
    if command -v kind >/dev/null && exists; then
        kind delete cluster --name "$cluster"
    fi
}

case ${1:-} in
    create | install | show | delete) "$1" ;;
    test) check ;;
    *)
        echo "Usage: dev-env.sh create|install|test|show|delete" >&2
        exit 2
        ;;
esac
