package config

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestClassStoresAreABoolOrAList(t *testing.T) {
	for text, want := range map[string]ClassStores{
		"true": {"*"}, "false": nil, "[]": {}, "['*']": {"*"},
		"['*.example.com', '10.0.0.0/8', 'vault.example.com:8200', '::1']": {"*.example.com", "10.0.0.0/8", "vault.example.com:8200", "::1"},
	} {
		file, err := Load(write(t, "policy: {classStores: "+text+"}"))
		if err != nil || !slices.Equal(file.Config.Policy.ClassStores, want) {
			t.Errorf("%s: %v, %v; want %v", text, file, err, want)
			continue
		}
		var printed bytes.Buffer
		must(t, Print(&printed, file.Config))
		again, err := Load(write(t, printed.String()))
		if err != nil || !slices.Equal(again.Config.Policy.ClassStores, want) {
			t.Errorf("%s printed and read again: %v, %v", text, again, err)
		}
	}
	for text, want := range map[string]string{
		"vault.example.com":            ":1: policy.classStores: must be true, false, or a list of addresses",
		"yes please":                   ":1: policy.classStores: must be true, false, or a list",
		"{a: b}":                       ":1: policy.classStores: must be true",
		"[[a]]":                        ":1: policy.classStores: must be true",
		"[a.example.com, 'https://b']": ":1: policy.classStores[1]: must be a host, a host and its port",
		"[10.1.2.3/8]":                 ":1: policy.classStores[0]: has bits set after its prefix; write 10.0.0.0/8",
		"[localhost]":                  ":1: policy.classStores[0]: is this machine itself; list the address instead",
		"['vault.example.com:0']":      ":1: policy.classStores[0]: must have a port from 1 to 65535",
		"true}\nproxy: {noProxy: .svc": ":2: proxy.url: is missing",
		"true}\nproxy: {url: 'http://a:s3cr3t@b'": ":2: proxy.url: must not hold a user name or password; put USER:PASSWORD into a file",
	} {
		_, err := Load(write(t, "policy: {classStores: "+text+"}"))
		if wrong := (*Error)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestAProxyIsPrintedWithoutItsSecret(t *testing.T) {
	file, err := Load(write(t, "proxy: {url: 'https://proxy.example.com', caCertFile: /ca, credentialsFile: /credentials, noProxy: '.svc'}"))
	must(t, err)
	var printed bytes.Buffer
	must(t, Print(&printed, file.Config))
	again, err := Load(write(t, printed.String()))
	if err != nil || again.Config.Proxy != file.Config.Proxy || file.Config.Proxy.CredentialsFile != "/credentials" {
		t.Errorf("%+v is read again as %+v: %v", file.Config.Proxy, again, err)
	}
}
