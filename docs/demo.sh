#!/usr/bin/env bash
# Lanyard on one screen: no cluster, no Vault, no cloud. Everything lives in a
# temporary folder and is gone when the script ends. The secrets are made up.
#
# usage: docs/demo.sh PATH-TO-LANYARD
set -euo pipefail
binary=$(realpath "${1:?usage: docs/demo.sh PATH-TO-LANYARD}")
demo=$(mktemp -d)
# The path of a Unix socket has at most 107 bytes.
if [ ${#demo} -gt 80 ]; then
	rmdir "$demo"
	demo=$(mktemp -d /tmp/lanyard.XXXXXX)
fi
running=()
finish() {
	trap - EXIT
	for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done
	wait
	rm -rf "$demo"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$demo"
lanyard() { "$binary" "$@"; }

bold="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() {
	printf '$ %s\n' "$1"
	eval "$1"
}
# start runs a command in the background, with its output in a file.
start() {
	printf '$ %s &\n' "$1"
	eval "exec ${1/#lanyard/\"\$binary\"}" >"$2" 2>&1 </dev/null &
	running+=($!)
}
# await waits until a condition holds, or fails with what a file says.
await() {
	for _ in $(seq 200); do
		if eval "$1"; then return; fi
		sleep 0.05
	done
	cat "$2" >&2
	exit 1
}

mkdir -p agent sockets && chmod 700 sockets && printf first >agent/licence
cat >lanyard.yaml <<YAML
cluster: demo
cache: {refresh: 1s}
stores:
  sealed: {type: sealed, keyRing: "$demo/ring.yaml"}
  agent:  {type: file, root: "$demo/agent", allow: ["shop/*"]}
YAML
cat >class.yaml <<'YAML'
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web, namespace: shop}
spec:
  provider: lanyard
  parameters:
    objects: |
      - {path: licence, store: agent, key: licence, mode: "0400"}   # a file on the node
      - path: app.properties                                        # made of the others
        template: "licence={{ .licence }} password={{ index . \"db/password\" }}\n"
YAML

say "1. The operator makes a key ring, and names what classes may use."
show "lanyard keygen --cluster demo --out ring.yaml --public-out public.yaml"
show "tail -n 3 lanyard.yaml"

say "2. A developer seals a value into a class, for one workload. The class may go to Git."
show "printf pa55word | lanyard seal --public public.yaml --service-account web \\
    --merge-into class.yaml --path db/password"
show "grep -A 9 objects: class.yaml | cut -c 1-90"
show "lanyard check --config lanyard.yaml class.yaml"

say "3. The provider starts. A pod's volume is mounted over its socket, as the CSI driver does it."
start "lanyard serve --config lanyard.yaml --socket-dir sockets --admin-address ''" provider.log
await "[ -S sockets/lanyard.sock ]" provider.log
start "lanyard mount class.yaml --socket sockets/lanyard.sock --service-account web \\
    --target volume --watch --interval 1s" volume.log
await "[ \$(wc -l <volume.log) -ge 9 ]" volume.log
cat volume.log
show "cat volume/app.properties"

say "4. The value changes where it is kept, and a poll brings it into the volume."
show "printf second > agent/licence"
await "[ \$(wc -l <volume.log) -ge 11 ]" volume.log
tail -n +10 volume.log
show "cat volume/app.properties"

say "5. A pod of another service account does not get the sealed value."
if show "lanyard mount class.yaml --socket sockets/lanyard.sock --service-account intruder" 2>&1; then
	echo "the intruder got the secret" >&2
	exit 1
fi
say "Next: docs/classes.md for what a class can say, docs/configuration.md for the operator."
