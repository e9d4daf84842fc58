#!/usr/bin/env bash
# Lanyard on one screen: no cluster, no Vault, no cloud. Everything lives in a
# temporary folder and is gone when the script ends. The secrets are made up.
#
# usage: docs/demo.sh PATH-TO-LANYARD
set -euo pipefail
lanyard=$(realpath "${1:?usage: docs/demo.sh PATH-TO-LANYARD}")
demo=$(mktemp -d)
provider=""
finish() {
	[ -z "$provider" ] || { kill "$provider" 2>/dev/null && wait "$provider" 2>/dev/null; } || true
	rm -rf "$demo"
}
trap finish EXIT
cd "$demo"
lanyard() { "$lanyard" "$@"; }

bold="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() { printf '$ %s\n' "$1"; eval "$1"; }
show_files() {
	(cd volume && find -L . -type f -not -path './..*' -printf '%P\n' | sort | while read -r path; do
		printf '  %s  %-15s %s\n' "$(stat -L -c %a "$path")" "$path" "$(tr '\n' ' ' <"$path")"
	done)
}

say "1. The operator makes a key, and a folder that other agents write to."
show "lanyard keygen --cluster demo --out ring.yaml --public-out ring.pub.yaml"
mkdir -p agent sockets && chmod 700 sockets && printf 'first-licence' >agent/licence
cat >lanyard.yaml <<YAML
cluster: demo
cache: {refresh: 1s}
stores:
  sealed: {type: sealed, keyRing: $demo/ring.yaml}
  agent:  {type: file, root: $demo/agent, allow: ["shop/*"]}
YAML
show "cat lanyard.yaml"

say "2. A developer seals a value for one workload. The result may go to Git."
cat >class.yaml <<YAML
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web, namespace: shop}
spec:
  provider: lanyard
  parameters:
    objects: |
      - path: licence          # a file that another agent keeps on the node
        store: agent
        key: licence
        mode: "0400"
      - path: app.properties   # a template over the other objects
        template: |
          licence={{ .licence }}
          password={{ index . "db/password" }}
YAML
show "printf 'pa55word' | lanyard seal --public ring.pub.yaml --namespace shop --service-account web --name db/password --merge-into class.yaml --path db/password"
show "cut -c 1-96 class.yaml"
show "lanyard check --config lanyard.yaml class.yaml"

say "3. The provider starts, and a pod's volume is mounted over its socket, as the driver would."
printf '$ lanyard serve --config lanyard.yaml --socket-dir sockets &\n'
"$lanyard" serve --config lanyard.yaml --socket-dir sockets --admin-address 127.0.0.1:0 2>provider.log &
provider=$!
for _ in $(seq 100); do [ -S sockets/lanyard.sock ] && break; sleep 0.05; done
[ -S sockets/lanyard.sock ] || { cat provider.log >&2; exit 1; }
mount="lanyard mount class.yaml --socket sockets/lanyard.sock --namespace shop --service-account web --target volume"
show "$mount"
say "   The files that the pod sees:"
show_files

say "4. The value changes, and the next poll brings it."
printf 'second-licence' >agent/licence && sleep 1.2
show "$mount"
show_files

say "5. Another service account gets nothing."
printf '$ lanyard mount class.yaml --socket sockets/lanyard.sock --namespace shop --service-account intruder\n'
if "$lanyard" mount class.yaml --socket sockets/lanyard.sock --namespace shop --service-account intruder 2>&1; then
	echo "the intruder got the secret" >&2
	exit 1
fi
say "Next: docs/classes.md for what a class can say, docs/configuration.md for the operator."
