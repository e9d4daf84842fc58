package mount

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

const good = "\n- {path: good, store: vault, key: secret/data/web/db, property: value}"

// What no class can be is refused with the object, the field and what would be
// right, before any store is asked.
func TestRefusedClassNamesObjectFieldAndRemedy(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0", bounds: "objects: 100"})
	web := n.pod(t, "shop", "web")
	sealedText := n.seal(t, web, "second", "value")
	const unusable = "the SecretProviderClass cannot be used: "

	for name, c := range map[string]struct{ object, want string }{
		"unknown field": {
			"{path: second, store: vault, key: secret/data/web/db, propery: value}",
			"object 2 (second): propery: unknown field; did you mean property?",
		},
		"wrong type": {
			"{path: second, store: vault, key: secret/data/web/db, optional: perhaps}",
			"object 2 (second): optional: must be true or false, without quotes",
		},
		"duplicate path": {
			"{path: good, store: vault, key: secret/data/web/db}",
			"object 2 (good): path: object 1 (good) has the same path; give each object a file of its own",
		},
		"duplicate name": {
			"{name: good, store: vault, key: secret/data/web/db}",
			"object 2 (good): name: is also the path of object 1, and templates could not tell them apart; rename one of the two",
		},
		"path that leaves the volume": {
			"{path: ../second, store: vault, key: secret/data/web/db}",
			"object 2 (../second): path: must not leave the volume; remove the ..",
		},
		"absolute path": {
			"{path: /second, store: vault, key: secret/data/web/db}",
			"object 2 (/second): path: must be relative to the volume; remove the leading /",
		},
		"over-long path": {
			"{path: " + strings.Repeat("long/", 1000) + "path, store: vault, key: secret/data/web/db}",
			"object 2 (long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/lon…): path: is longer than 4096 bytes; shorten it",
		},
		"over-long part of a path": {
			"{path: a/" + strings.Repeat("b", 256) + ", store: vault, key: secret/data/web/db}",
			"object 2 (a/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…): path: has a part that is longer than 255 bytes; shorten it",
		},
		"file where another object needs a directory": {
			"{path: good/second, store: vault, key: secret/data/web/db}",
			"object 2 (good/second): path: needs a directory where object 1 (good) has a file; rename one of the two",
		},
		"unknown store": {
			"{path: second, store: vualt, key: secret/data/web/db}",
			"object 2 (second): store: store vualt: no store of that name is configured; configured are files, sealed, vault; did you mean vault?",
		},
		"mode that is not octal": {
			`{path: second, store: vault, key: secret/data/web/db, mode: "0888"}`,
			`object 2 (second): mode: must be an octal mode of four digits, such as "0440"`,
		},
		"both key and sealed": {
			"{path: second, store: vault, key: secret/data/web/db, sealed: " + sealedText + "}",
			"object 2 (second): sealed: key and sealed are given, and an object takes its value from one of them; keep key, with its store, to read it from there, or sealed to open the ciphertext, and remove the rest",
		},
		"expression that is none": {
			"{path: second, store: vault, key: secret/data/web/db, property: 'a..b['}",
			`object 2 (second): property: not a JMESPath expression from column 3 on: ".b["`,
		},
		"template that is none": {
			"{path: second, template: '{{ .good '}",
			"object 2 (second): template: template line 1: unclosed action",
		},
		"template with an unknown function": {
			"{path: second, template: '{{ env \"HOME\" }}'}",
			`object 2 (second): template: template line 1: function "env" not defined`,
		},
		"template of an object that is not there": {
			"{path: second, template: '{{ .absent }}'}",
			"object 2 (second): template: no object is named absent; a template may use what is read from stores and not expanded",
		},
		"truncated sealed value": {
			"{path: second, sealed: " + sealedText[:40] + "}",
			"object 2 (second): sealed: malformed sealed value: it is not base64url, or is cut off; copy the whole text",
		},
		"key that is no path": {
			"{path: second, store: vault, key: secret/../sys/seal}",
			`object 2 (second): key: must be a path such as secret/data/prod/db: no slash or space at either end, no empty part, no . or .. as a part`,
		},
		"version that is none": {
			"{path: second, store: vault, key: secret/data/web/db, version: latest}",
			"object 2 (second): version: must be a version of KV version 2: a whole number from 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := n.refused(t, web, asWeb(good+"\n- "+c.object), codes.InvalidArgument); got != unusable+c.want {
				t.Errorf("got\n%s\nwant\n%s", got, unusable+c.want)
			}
		})
	}
	if calls := n.proxy.Count("", ""); calls != 0 {
		t.Errorf("Vault was asked %d times: %v", calls, n.proxy.Requests())
	}
}

// All that is wrong is told at once.
func TestRefusedClassTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	eachDoor(t, setup{}, func(t *testing.T, n *node) {
		web := n.pod(t, "shop", "web")
		got := n.refused(t, web, class{"objcts": "", "refresh": "soon", "objects": `
- {path: ../first, store: vualt, key: k, mode: "9"}
- {path: second, store: vault, key: k, colour: red}
`}, codes.InvalidArgument)
		const want = `the SecretProviderClass cannot be used: objcts: unknown parameter; did you mean objects?; refresh: must be a duration such as 30s, 5m or 2h; object 1 (../first): mode: must be an octal mode of four digits, such as "0440"; object 2 (second): colour: unknown field; known are path, name, store, key, version, property, encoding, mode, optional, refresh, expand, template, sealed, options`
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// What only the values can tell is refused with the store and the key, too.
func TestRefusedValueNamesObjectStoreAndCause(t *testing.T) {
	t.Parallel()
	eachDoor(t, setup{vault: "retries: 0"}, func(t *testing.T, n *node) {
		web := n.pod(t, "shop", "web")
		n.put(t, "web/db", map[string]any{"value": "s3cret!", "list": []int{1, 2}})
		n.put(t, "other/db", map[string]any{"value": "s3cret!"})

		for name, c := range map[string]struct {
			object string
			code   codes.Code
			want   string
		}{
			"bad base64": {
				"{path: second, store: vault, key: secret/data/web/db, property: value, encoding: base64}", codes.InvalidArgument,
				"object 2 (second): vault: encoding of secret/data/web/db: the value is not base64 (standard alphabet, padded with =): wrong at byte 7 of 7",
			},
			"expression that fails": {
				"{path: second, store: vault, key: secret/data/web/db, property: 'abs(value)'}", codes.InvalidArgument,
				"object 2 (second): vault: property abs(value) of secret/data/web/db: abs: wants a number",
			},
			"expression that selects nothing": {
				"{path: second, store: vault, key: secret/data/web/db, property: absent}", codes.NotFound,
				"object 2 (second): vault: property absent of secret/data/web/db: selects nothing: the value has no key absent",
			},
			"template that fails": {
				"{path: second, template: '{{ index .good 99 }}'}", codes.InvalidArgument,
				"object 2 (second): template line 1, column 4: index: it takes a list and a place in it, or an object and a name",
			},
			"expansion of what is no object": {
				"{path: second, store: vault, key: secret/data/web/db, property: list, expand: true}", codes.InvalidArgument,
				"object 2 (second): vault: expand of secret/data/web/db: the value is not a JSON object, so it has no keys to expand",
			},
			"secret that does not exist": {
				"{path: second, store: vault, key: secret/data/web/none}", codes.NotFound,
				"object 2 (second): vault: GET secret/data/web/none: Vault has nothing there; if the engine is KV version 1, the key is secret/web/none",
			},
			"version that does not exist": {
				"{path: second, store: vault, key: secret/data/web/db, version: 7}", codes.NotFound,
				"object 2 (second): vault: GET secret/data/web/db: Vault has nothing there; if the engine is KV version 1, the key is secret/web/db",
			},
			"secret of somebody else": {
				"{path: second, store: vault, key: secret/data/other/db}", codes.PermissionDenied,
				`object 2 (second): vault: GET secret/data/other/db: permission denied for role "web" at auth/jwt: its policies need read on secret/data/other/db; a role that was changed meanwhile is tried again within 10 minutes`,
			},
			"file that does not exist": {
				"{path: second, store: files, key: none}", codes.NotFound,
				"object 2 (second): files: there is no file none below " + n.files,
			},
		} {
			t.Run(name, func(t *testing.T) {
				if got := n.refused(t, web, asWeb(good+"\n- "+c.object), c.code); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
			})
		}
	})
}

func TestEveryFailedObjectIsNamed(t *testing.T) {
	t.Parallel()
	eachDoor(t, setup{vault: "retries: 0"}, func(t *testing.T, n *node) {
		web := n.pod(t, "shop", "web")
		n.put(t, "web/db", map[string]any{"value": "value"})
		got := n.refused(t, web, asWeb(good+`
- {path: missing, store: vault, key: secret/data/web/none}
- {path: denied, store: vault, key: secret/data/other/db}
- {path: unread, store: files, key: none}
`), codes.PermissionDenied)
		want := `3 of 4 objects failed: object 2 (missing): vault: GET secret/data/web/none: Vault has nothing there; if the engine is KV version 1, the key is secret/web/none; object 3 (denied): vault: GET secret/data/other/db: permission denied for role "web" at auth/jwt: its policies need read on secret/data/other/db; a role that was changed meanwhile is tried again within 10 minutes; object 4 (unread): files: there is no file none below ` + n.files
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// Vault's login needs the pod's token for Vault's audience.
func TestRefusedTokenTellsTheTokenRequestsEntry(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	n.put(t, "web/db", map[string]any{"value": "value"})
	past := time.Now().Add(-time.Minute)

	for name, c := range map[string]struct {
		tokens func(p pod) map[string]token
		code   codes.Code
		want   string
	}{
		"no tokens": {
			func(pod) map[string]token { return nil }, codes.FailedPrecondition,
			`object 1 (good): vault: no usable service account token for audience "vault": the driver passed no tokens; add {audience: "vault"} to spec.tokenRequests of the CSIDriver secrets-store.csi.k8s.io`,
		},
		"another audience": {
			func(p pod) map[string]token {
				return map[string]token{"aws": n.token(t, p, "aws", time.Now().Add(time.Hour))}
			}, codes.FailedPrecondition,
			`object 1 (good): vault: no usable service account token for audience "vault": the driver passed tokens for "aws"; add {audience: "vault"} to spec.tokenRequests of the CSIDriver secrets-store.csi.k8s.io`,
		},
		"expired": {
			func(p pod) map[string]token { return map[string]token{"vault": n.token(t, p, "vault", past)} }, codes.FailedPrecondition,
			`object 1 (good): vault: no usable service account token for audience "vault": it expired at ` + past.UTC().Format(time.RFC3339) + `; set requiresRepublish: true on the CSIDriver secrets-store.csi.k8s.io, or check the node's clock`,
		},
		"of another audience than it is passed for": {
			func(p pod) map[string]token {
				return map[string]token{"vault": n.token(t, p, "aws", time.Now().Add(time.Hour))}
			}, codes.Unauthenticated,
			`object 1 (good): vault: login as role "web" at auth/jwt: refused (400); Vault says: error validating token: invalid audience (aud) claim: audience claim does not match any expected audience; check that the role exists in this namespace of Vault, that its bound_subject or bound_claims fit the pod's service account, that its bound_audiences hold "vault", and that the method trusts the keys of this cluster's issuer`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			web := n.pod(t, "shop", "web")
			web.tokens = c.tokens(web)
			if got := n.refused(t, web, asWeb(good), c.code); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestRefusedRequestTellsWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	web := n.pod(t, "shop", "web")
	many := strings.Repeat("\n- {path: x}", 10_000)

	for name, c := range map[string]struct {
		attributes string
		code       codes.Code
		want       string
	}{
		"attributes that are not JSON": {
			"objects: none", codes.InvalidArgument,
			"the mount request's attributes are not a JSON object of strings (byte 1 is not what belongs there); the caller is not a Secrets Store CSI driver",
		},
		"10 MiB": {
			web.attributes(asWeb(strings.Repeat("#", 10<<20))), codes.OutOfRange,
			`the mount request holds 10.00 MiB and this node accepts 1.00 MiB; most of it is the parameter "objects" with 10.00 MiB; divide the SecretProviderClass into several, or have the operator raise bounds.requestBytes`,
		},
		"10,000 objects": {
			web.attributes(asWeb(many)), codes.InvalidArgument,
			"the SecretProviderClass cannot be used: objects: has 10000 entries, and the operator allows 1000; split the class, one volume each",
		},
	} {
		t.Run(name, func(t *testing.T) {
			mount := func() error { _, err := n.mountRaw(context.Background(), web, c.attributes); return err }
			if got := refusal(t, web, c.code, mount); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	n.put(t, "web/db", map[string]any{"value": "value"})
	n.mounted(t, web, asWeb(good))
}

func TestVolumeAboveTheDriversLimitIsRefusedByItsLargestFiles(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	web := n.pod(t, "shop", "web")
	objects := ""
	for i := range 9 {
		key := fmt.Sprintf("web/large-%d", i)
		n.put(t, key, map[string]any{"value": strings.Repeat("x", 500_000+i)})
		objects += fmt.Sprintf("\n- {path: large-%d, store: vault, key: secret/data/%s, property: value}", i, key)
	}
	const want = "too large: the volume's files have 4500387 bytes in total, and the driver accepts 4128768; move some of the largest to another volume: large-8 (500008 bytes), large-7 (500007 bytes), large-6 (500006 bytes)"
	if got := n.refused(t, web, asWeb(objects), codes.OutOfRange); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// One file less is within it.
	n.mounted(t, web, asWeb(objects[:strings.LastIndex(objects, "\n")]))
	if got := len(web.holds(t)); got != 8 {
		t.Errorf("the volume has %d files, want 8", got)
	}
}

// What the driver takes at most is a whole message: contents, paths, versions.
func TestVolumeOfManyLongPathsIsRefusedBeforeTheDriverRefusesIt(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	web := n.pod(t, "shop", "web")
	n.put(t, "web/db", map[string]any{"value": strings.Repeat("x", 4300)})
	objects := ""
	for i := range 900 {
		objects += fmt.Sprintf("\n- {path: %s-%03d, store: vault, key: secret/data/web/db, property: value}", strings.Repeat("p", 196), i)
	}
	if got, want := n.refused(t, web, asWeb(objects), codes.OutOfRange), "too large: the volume's files have 4078800 bytes in total and their versions 245700, and the driver accepts 4128768; "; !strings.HasPrefix(got, want) {
		t.Errorf("got\n%.300s\nwant\n%s…", got, want)
	}
}
