package cmd_test

import (
	"strings"
	"testing"
)

func TestWhatIsEncryptedIsNotSealedAgain(t *testing.T) {
	b := newSealBench(t)
	args := append([]string{"seal", "--public", b.public}, forWeb...)
	for value, want := range map[string]string{
		b.seal("v"):         "sealed already",
		"\n " + b.seal("v"): "sealed already",
		"ENC[AES256_GCM,data:abc,iv:d,tag:e,type:str]":                                         "sops",
		"a: ENC[AES256_GCM,data:abc,iv:d,tag:e,type:str]\nsops:\n  mac: x\n  version: 3.9.0\n": "sops",
		`{"a":"b","sops":{"mac":"x"}}`:                                                         "sops",
		"apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec: {}\n":                     "SealedSecret",
		"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n":                                           "age",
		"age-encryption.org/v1\n-> X25519 abc\n":                                               "age",
		"-----BEGIN PGP MESSAGE-----\n\nabc\n":                                                 "PGP",
		"$ANSIBLE_VAULT;1.1;AES256\n6162\n":                                                    "ansible-vault",
		"vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zoCmHnSeDX9vyf":                    "transit",
		"\xef\xbb\xbflanyard.v1.AAAA":                                                          "sealed already",
	} {
		b.refused(2, want, value, args...)
		b.must(value, append(args, "--allow-encrypted")...)
	}
	for _, value := range []string{"v", "-----BEGIN PRIVATE KEY-----\nabc\n", "sops", "sops: is a text\n", "kind: Secret # SealedSecret\n", "vaulted", "lanyard.v2"} {
		b.must(value, args...)
	}
	path := b.file("app.env", "A=plain\nB="+strings.TrimSpace(b.seal("v"))+"\n")
	code, _, stderr := b.run("", "seal", "--public", b.public, "-n", "prod", "--service-account", "web", "--from-env", path, "--path", "app")
	if code == 0 || !strings.Contains(stderr, "sealed already") {
		t.Errorf("one of many: exit code %d, %q", code, stderr)
	}
}
