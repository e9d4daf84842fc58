package kmsring

import (
	"strings"
	"testing"
)

const twoKeys = `# the ring of production
kind: lanyard.kms-ring.v1
keys:
- name: new
  state: write # since May
  service: {type: local, keyFile: /etc/lanyard/new}
- {name: old, state: "read", service: {type: local, keyFile: /etc/lanyard/old}} # until July
- name: read
  epoch: 2
  state:   read
  service: {type: local, keyFile: /etc/lanyard/read}
`

func TestRetireChangesOneStateAndNothingElse(t *testing.T) {
	for name, change := range map[string][2]string{
		"old":  {`state: "read"`, `state: "retired"`},
		"read": {"state:   read", "state:   retired"},
	} {
		got, err := Retire([]byte(twoKeys), name)
		if want := strings.Replace(twoKeys, change[0], change[1], 1); err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

func TestRetireRefusesWhatItCannotChange(t *testing.T) {
	anchored := strings.Replace(twoKeys, `state: "read"`, "state: &read read", 1)
	for _, c := range []struct{ ring, name, want string }{
		{twoKeys, "new", "keys[0].state: is write; only a key with state read can be retired"},
		{strings.Replace(twoKeys, `"read"`, "retired", 1), "old", "is retired; only"},
		{twoKeys, "gone", "has no key named gone"},
		{anchored, "old", "set it to retired by hand"},
		{strings.Replace(twoKeys, "kind:", "kinds:", 1), "old", "kind"},
	} {
		if got, err := Retire([]byte(c.ring), c.name); err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}
