package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/proxy/proxytest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// double is the address at which the servers of a Fixture listen.
const double = "127.0.0.1"

// Network checks how a store's calls leave the node. The addresses in the fixture's
// settings are those of servers at 127.0.0.1, which also answer to name. It must not
// run beside another test, since it resolves names for the whole process.
func Network(t *testing.T, name string, fixture func(t *testing.T) *Fixture) {
	toName := func(value string) string { return strings.ReplaceAll(value, double, name) }

	t.Run("goes through the proxy with every call, whatever the environment says", func(t *testing.T) {
		for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
			t.Setenv(variable, "http://192.0.2.1:1")
		}
		t.Setenv("NO_PROXY", "*")
		for kind, via := range map[string]*proxytest.Proxy{"http": proxytest.Start(t), "https": proxytest.StartTLS(t)} {
			f := fixture(t)
			via.Route = func(address string) string { return strings.ReplaceAll(address, name, double) }
			f.Settings.Fields = proxytest.Replace(f.Settings.Fields, func(_, value string) string { return toName(value) })
			f.Settings.Network.Proxy = proxy.Settings{URL: via.URL, CACertFile: via.CACertFile}
			if got := readThrough(t, f); got != "through the proxy" {
				t.Errorf("%s: Read = %q", kind, got)
			}
			if requested := via.Requested(); len(requested) == 0 || slices.ContainsFunc(requested, func(address string) bool { return strings.HasPrefix(address, double) }) {
				t.Errorf("%s: the proxy was asked for %q", kind, requested)
			}
		}
	})

	t.Run("calls no reserved address that a class chose, in any setting", func(t *testing.T) {
		settings := addresses(fixture(t).Settings.Fields)
		names := proxytest.StartNames(t, map[string][]string{name: {double}})
		tried := 0
		try := func(setting string) {
			f := fixture(t)
			ref := f.Put(t, "first", "v")
			names.Forget(name)
			open := func(fromClass ...string) store.Store {
				settings := f.Settings
				settings.ByOperator, settings.FromClass = true, fromClass
				settings.Network.Rule = remote.NewDialRule([]string{"*"})
				settings.Fields = proxytest.Replace(settings.Fields, func(field, value string) string {
					if field != setting {
						return value
					}
					return toName(value)
				})
				opened, err := f.Type.Open(settings)
				if err != nil {
					t.Fatalf("%s: Open: %v", setting, err)
				}
				return opened
			}
			// The operator's own store works, and has connections and logins.
			operators := open()
			defer operators.Close()
			mustRead(t, operators, f.Identity, ref)
			if !names.Requested(name) {
				return // this read has no use for the setting
			}
			tried++
			classes := open(setting)
			defer classes.Close()
			start := time.Now()
			_, err := classes.Read(t.Context(), f.Identity, ref)
			if !errors.Is(err, fault.ErrDenied) || !strings.Contains(fmt.Sprint(err), "("+double+") is a loopback address, which a class must not choose") {
				t.Errorf("%s: %v, want that the address is refused", setting, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: the refusal took %s", setting, took)
			}
		}
		for _, setting := range settings {
			try(setting)
		}
		if tried == 0 {
			t.Errorf("none of %q is used", settings)
		}
	})

	t.Run("marks the words of a server that a class chose", func(t *testing.T) {
		f := fixture(t)
		if f.Refused == nil {
			t.Fatal("the fixture has nothing that its server refuses")
		}
		ref := f.Refused(t)
		f.Settings.ByOperator, f.Settings.FromClass = true, addresses(f.Settings.Fields)
		f.Settings.Network.Rule = remote.NewDialRule([]string{"*", double})
		opened, err := f.Type.Open(f.Settings)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		defer opened.Close()
		_, err = opened.Read(t.Context(), f.Identity, ref)
		if err == nil || !strings.Contains(err.Error(), double) || !strings.Contains(err.Error(), ", which the class chose, ") {
			t.Errorf("%v, want that the words are marked", err)
		}
	})

	t.Run("tells of a reserved address when it is opened", func(t *testing.T) {
		f := fixture(t)
		for _, setting := range addresses(f.Settings.Fields) {
			settings := f.Settings
			settings.ByOperator, settings.FromClass = true, []string{setting}
			settings.Network.Rule = remote.NewDialRule([]string{"*"})
			opened, err := f.Type.Open(settings)
			if err == nil {
				opened.Close()
				continue // an address that is only sometimes used
			}
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), setting+": "+double) {
				t.Errorf("%s: %v", setting, err)
			}
		}
	})
}

func readThrough(t *testing.T, f *Fixture) string {
	t.Helper()
	opened, err := f.Type.Open(f.Settings)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer opened.Close()
	const value = "through the proxy"
	got := read(t, opened, f.Identity, f.Put(t, "first", value))
	if f.Want != nil && got == f.Want(value) {
		return value
	}
	return got
}

// addresses are the dotted names of the settings that hold the double's address.
func addresses(fields map[string]any) []string {
	var found []string
	proxytest.Replace(fields, func(field, value string) string {
		if strings.Contains(value, double) {
			found = append(found, field)
		}
		return value
	})
	slices.Sort(found)
	return found
}
