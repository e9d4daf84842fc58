// Package kms drives the real `lanyard kms`, over a real Vault's Transit
// engine, with the API server's own client code: kmsv2, which speaks to a
// plugin, and encryptionconfig, which polls it, makes seeds and decides what is
// stale. What the API server would keep in etcd is a map here.
package kms

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// parts are the Vault and the binary of all tests.
var parts *kmsplugin.Parts

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	// What the API server's code logs of each failed call drowns the rest.
	quiet := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(quiet)
	if err := errors.Join(quiet.Set("logtostderr", "false"), quiet.Set("stderrthreshold", "FATAL")); err != nil {
		return 1, err
	}
	klog.SetOutput(io.Discard)
	if parts, err = kmsplugin.Setup(context.Background(), os.Stderr, "-race"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	return m.Run(), nil
}

// vault is one test's Transit engine, with the keys one and two.
type vault struct {
	*testing.T
	*kmsplugin.Vault
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v, err := parts.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &vault{t, v}
}

// rotate gives a key its next version.
func (v *vault) rotate(name string) {
	v.Helper()
	v.must(v.Rotate(context.Background(), name))
}

func (v *vault) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

// plugin is a process of lanyard kms that ends with the test.
type plugin struct {
	*testing.T
	*kmsplugin.Plugin
	v *vault
}

// newPlugin makes a plugin whose ring has the keys, pairs of a Transit key's
// name and a state, and does not start it.
func newPlugin(v *vault, pairs ...string) *plugin {
	v.Helper()
	p, err := v.Plugin(kmsplugin.Options{Settings: "settle: 0s\n", Metrics: true}, pairs...)
	v.must(err)
	v.Cleanup(func() {
		if err := p.Close(); err != nil {
			v.Error(err)
		}
		if v.Failed() {
			printed := p.Output()
			v.Logf("the plugin printed:\n%s", printed[max(0, len(printed)-8<<10):])
		}
	})
	return &plugin{v.T, p, v}
}

// ring writes the plugin's ring file.
func (p *plugin) ring(pairs ...string) {
	p.Helper()
	p.v.must(p.WriteRing(pairs...))
}

// start starts the process and waits until its socket can be connected to.
func (p *plugin) start() *plugin {
	p.Helper()
	p.v.must(p.Start())
	return p
}

// eventually waits until something holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, within, err)
}
