package kms

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheConfigurationThatCheckPrintsEncryptsSecretsInEtcd(t *testing.T) {
	b := newBench(t)
	p := b.plugin("one", "write")
	printed, problems, err := b.lanyard(p, "kms", "check", "--ring", p.RingFile(), "--socket", p.Socket)
	if err != nil {
		t.Fatalf("%v\n%s", err, problems)
	}
	a := b.apiServer(printed)
	b.start(a)
	b.create(3, a)
	stored := b.secrets()
	if len(stored) != 3 {
		t.Fatalf("etcd holds %d Secrets", len(stored))
	}
	for _, one := range stored {
		if !strings.HasPrefix(string(one.Value), prefix) || bytes.Contains(one.Value, []byte(value)) {
			t.Errorf("%s holds %q", one.Key, one.Value)
		}
	}
}
