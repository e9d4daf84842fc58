package kms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// manual is the page that the table of outages stands in.
const manual = "../../../docs/kms.md"

// TestOutages lets all outages happen at once and writes down what real API
// servers and their users see. The times are real: an API server stops to write
// three minutes after the last good status, whatever it is told.
//
// One row of the table lasts for longer. The tests over the API server's own
// code, with a clock that they can move, have it; they agree on all others.
func TestOutages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var victims []*victim
	var providers strings.Builder
	providers.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n")
	for i, o := range outages() {
		v := b.victim(i, o)
		victims = append(victims, v)
		fmt.Fprintf(&providers, "- resources: [%s.%s]\n  providers:\n  - kms: {apiVersion: v2, name: %s, endpoint: \"unix://%s\", timeout: 3s}\n", v.resource, group, v.name, v.Socket)
	}
	// What the first API server wrote is put back when it has gone: then nobody
	// knows its seeds.
	gone, first, cold := b.apiServerOfAll(providers.String()), b.apiServerOfAll(providers.String()), b.apiServerOfAll(providers.String())
	b.start(gone)
	b.must(gone.Apply(t.Context(), resources(victims)))
	each(victims, func(v *victim) {
		v.must(v.eventuallyWritten(gone, "foreign"))
		stored, err := b.Stored(t.Context(), v.key("foreign"))
		b.must(err)
		v.foreign = stored[0].Value
		v.must(v.request(gone, http.MethodDelete, "foreign", nil))
	})
	b.must(gone.Stop(t.Context()))
	b.start(first)
	each(victims, func(v *victim) { v.must(v.eventuallyWritten(first, "known")) })

	for _, v := range victims {
		b.must(v.outage.happens(v))
	}
	began := time.Now()
	var rows []kmsplugin.Outage
	for _, look := range []struct {
		at    string
		after time.Duration
	}{{afterAMinute, time.Minute}, {afterThree, 3*time.Minute + 25*time.Second}} {
		time.Sleep(time.Until(began.Add(look.after)))
		b.must(cold.Start(t.Context()))
		var mu sync.Mutex
		each(victims, func(v *victim) {
			if slices.Contains(v.outage.at, look.at) {
				row := v.observe(first, cold, look.at)
				mu.Lock()
				defer mu.Unlock()
				rows = append(rows, row)
			}
		})
		if look.at == afterAMinute {
			b.must(cold.Stop(t.Context()))
		}
	}
	// The last one is left as it is: an API server that started while it could
	// not read has to come to it by itself.
	for _, v := range victims {
		b.must(v.outage.ends(v))
	}
	each(victims, func(v *victim) { v.recovers(first, cold) })
	slices.SortStableFunc(rows, func(a, b kmsplugin.Outage) int { return index(a.What) - index(b.What) })
	if err := kmsplugin.CheckOutages(manual, rows, os.Getenv("LANYARD_UPDATE_GOLDEN") != ""); err != nil {
		t.Errorf("%v\nrun LANYARD_UPDATE_GOLDEN=1 go test ./kms -run TestOutages in integration/cluster", err)
	}
}

// index is an outage's place in the list.
func index(what string) int {
	return slices.IndexFunc(outages(), func(o outage) bool { return o.what == what })
}

// group is that of the resources.
const group = "lanyard.test"

// victim makes a plugin for an outage.
func (b *bench) victim(i int, o outage) *victim {
	b.Helper()
	vault, err := parts.Vault(b.Context())
	b.must(err)
	v := &victim{bench: b, vault: vault, outage: o, name: fmt.Sprintf("outage%02d", i), resource: fmt.Sprintf("outages%02d", i)}
	// What the API server says of a provider names the key, so each has a name
	// of its own.
	b.must(vault.Key(b.Context(), v.name))
	b.must(v.login())
	on := *b
	on.vault = vault
	v.Plugin = on.pluginWith(kmsplugin.Options{Settings: "settle: 0s\n" + o.ring}, v.name, "write")
	return v
}

// apiServerOfAll is an API server with a provider for each outage. It reads its
// configuration once, so that each provider has a check of its own.
func (b *bench) apiServerOfAll(configuration string) *configured {
	b.Helper()
	path := temporary(b.T, "encryption.yaml")
	b.must(writeFile(path, configuration))
	server, err := b.APIServer("--encryption-provider-config=" + path)
	b.must(err)
	return &configured{APIServer: server, T: b.T, configuration: path}
}

// resources defines the resources of the victims.
func resources(victims []*victim) []byte {
	var b strings.Builder
	for _, v := range victims {
		fmt.Fprintf(&b, `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: %[1]s, singular: %[1]s, kind: K%[1]s}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, v.resource, group)
	}
	return []byte(b.String())
}

// each does the same with all victims at once.
func each(victims []*victim, do func(*victim)) {
	var all sync.WaitGroup
	for _, v := range victims {
		all.Go(func() { do(v) })
	}
	all.Wait()
}

func (v *victim) path(name string) string {
	return "/apis/" + group + "/v1/namespaces/" + namespace + "/" + v.resource + "/" + name
}

func (v *victim) key(name string) string {
	return "/registry/" + group + "/" + v.resource + "/" + namespace + "/" + name
}

// write makes an object, or changes one, at an API server.
func (v *victim) write(a *configured, name string) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/v1", "kind": "K" + v.resource, "metadata": map[string]any{"name": name}, "value": value,
		"at": time.Now().Format(time.RFC3339Nano),
	}}
	body, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	return v.request(a, http.MethodPatch, name+"?fieldManager=test&force=true", body)
}

func (v *victim) eventuallyWritten(a *configured, name string) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = v.write(a, name); err == nil {
			return nil
		}
	}
	return err
}

func (v *victim) read(a *configured, name string) error {
	got, err := a.Get(v.Context(), v.path(name))
	if err == nil && !strings.Contains(got, value) {
		err = errors.New("it holds something else")
	}
	return err
}

func (v *victim) request(a *configured, method, name string, body []byte) error {
	ctx, cancel := context.WithTimeout(v.Context(), 15*time.Second)
	defer cancel()
	return a.Send(ctx, method, v.path(name), "application/apply-patch+yaml", body)
}

// check is what the API server's readiness says of the provider: its part of
// what the one check for all of them says.
func (v *victim) check(a *configured) string {
	_, err := a.Get(v.Context(), "/readyz/kms-providers")
	if err == nil {
		return "ok"
	}
	if !strings.Contains(err.Error(), "kms-provider-") {
		return err.Error()
	}
	// Where one failed, its number comes before what it says; more than one are
	// a list in brackets.
	said := strings.TrimSuffix(strings.TrimSpace(err.Error()), "]")
	for part := range strings.SplitSeq(said, "kms-provider-") {
		if strings.Contains(part, "Provider "+v.name) {
			return strings.TrimSuffix(part, ", ")
		}
	}
	return "ok"
}

// observe is the row of the table. What should work is waited for a little,
// because a slow machine may miss a moment; what should not must not.
func (v *victim) observe(first, cold *configured, at string) kmsplugin.Outage {
	row := kmsplugin.Outage{What: v.outage.what, For: at, Tight: v.delay == tight}
	row.Says = v.check(first)
	row.Known = v.read(first, "known") == nil
	row.Writes = v.write(first, "new") == nil
	v.must(v.Store(v.Context(), cluster.KeyValue{Key: []byte(v.key("foreign")), Value: v.foreign}))
	const tries = 4
	for range tries {
		if row.Other = v.read(first, "foreign") == nil; row.Other {
			break
		}
		time.Sleep(time.Second)
	}
	row.Starts = v.startsWell(cold)
	return row
}

// startsWell says whether an API server that was just started comes to read
// what is in etcd and to be content with the provider. It looks at its providers one
// after another, those of other outages too, each of which may take three seconds: so it
// is given time, and what it says of no provider, or of another, does not count.
func (v *victim) startsWell(cold *configured) bool {
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Second) {
		if v.read(cold, "known") != nil {
			continue
		}
		if said := v.check(cold); said == "ok" || !strings.Contains(said, v.name) {
			return true
		}
	}
	return false
}

// reconnect is above the 2 minutes, and a fifth of them, that gRPC waits at most
// before it tries again to connect to a socket that was refused.
// https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
const reconnect = 170 * time.Second

// recovers waits until all is well at both API servers, and finds nothing lost.
func (v *victim) recovers(servers ...*configured) {
	for _, a := range servers {
		eventually(v.T, reconnect, "the end of: "+v.outage.what, func() error {
			if said := v.check(a); said != "ok" {
				return errors.New(said)
			}
			for _, name := range []string{"known", "foreign"} {
				if err := v.read(a, name); err != nil {
					return err
				}
			}
			return v.write(a, "after")
		})
	}
	stored, err := v.Stored(v.Context(), v.key(""))
	if err != nil {
		v.Error(err)
	}
	for _, one := range stored {
		if !bytes.HasPrefix(one.Value, []byte("k8s:enc:kms:v2:"+v.name+":")) || bytes.Contains(one.Value, []byte(value)) {
			v.Errorf("%s is not encrypted", one.Key)
		}
	}
}
