package deployment

import (
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	storage "k8s.io/api/storage/v1"
)

// packaged renders the chart that holds the driver's.
func packaged(t *testing.T, values string) (Rendered, error) {
	t.Helper()
	read, err := Values(values)
	if err != nil {
		t.Fatal(err)
	}
	return Render(Release{Name: "lanyard", Namespace: "secrets", Values: read, Packaged: true})
}

func TestTheDriverComesWithTheReleaseIfItIsAskedFor(t *testing.T) {
	rendered, err := packaged(t, "{secrets-store-csi-driver: {install: true}, config: {stores: {v: {type: vault, auth: {method: kubernetes}}}}}")
	if err != nil {
		t.Fatal(err)
	}
	driver := object[storage.CSIDriver](t, rendered, "CSIDriver")
	if requests := driver.Spec.TokenRequests; len(requests) != 1 || requests[0].Audience != "vault" || !*driver.Spec.RequiresRepublish {
		t.Errorf("the driver is told %v", driver.Spec)
	}
	if !strings.Contains(rendered.Notes, "passes tokens for vault.") || strings.Contains(rendered.Notes, "kubectl patch") {
		t.Errorf("the notes are\n%s", rendered.Notes)
	}
	images := 0
	for _, object := range rendered.Objects {
		if object.Head.Kind == "DaemonSet" {
			images += strings.Count(object.Content, "image:")
		}
	}
	if images != 4 {
		t.Errorf("the DaemonSets have %d images, want the provider's and the driver's three", images)
	}
}

func TestThePackagedChartIsTheSameWithoutTheDriver(t *testing.T) {
	rendered, err := packaged(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if plain := render(t, ""); string(plain.YAML()) != string(rendered.YAML()) || plain.Notes != rendered.Notes {
		t.Error("the packaged chart renders something else")
	}
}

func TestADriverThatCannotServeTheConfigurationIsRefused(t *testing.T) {
	const install = "secrets-store-csi-driver: {install: true"
	for values, want := range map[string]string{
		install + "}\nconfig: {stores: {prod: {type: aws-secrets-manager}}}":                                                                                 `the store prod reads with a token for sts.amazonaws.com, which the driver is not set to pass; add {"audience":"sts.amazonaws.com"}`,
		install + ", tokenRequests: [{audience: vault}]}\ndialects: [gcp]":                                                                                   "for PROJECT.svc.id.goog",
		install + ", tokenRequests: [{audience: a.b.svc.id.goog}]}\ndialects: [gcp]":                                                                         "",
		install + ", tokenRequests: []}\ndialects: [vault, azure]\nconfig: {policy: {tokenRequest: true}}":                                                   "",
		install + ", tokenRequests: []}\nconfig: {stores: {s: {type: file, root: /srv, allow: [a/b]}}}\nhostDirectories: [/srv]":                             "",
		install + ", linux: {providersDir: /var/p, additionalProvidersDirs: []}}\nconfig: {policy: {classStores: false}}":                                    "the driver looks into /var/p alone",
		install + ", linux: {providersDir: /var/p, additionalProvidersDirs: [/srv/p]}}\nsocketDirectory: /srv/p":                                             "",
		install + ", tokenRequests: [{audience: x}]}\nconfig: {stores: {v: {type: vault, auth: {method: jwt, audience: x}}}}":                                "",
		install + ", tokenRequests: [{audience: x}]}\nconfig: {stores: {v: {type: vault, override: {auth.audience: [x, other, 'z-*']}}}}":                    "for vault",
		install + ", tokenRequests: [{audience: vault}]}\nconfig: {stores: {v: {type: vault, override: {auth.audience: [x]}}}}":                              "for x",
		install + ", tokenRequest: [{audience: vault}]}\nconfig: {stores: {v: {type: vault}, w: {type: sealed, keys: [{name: k, service: {type: azure}}]}}}": "the store w reads with a token for api://AzureADTokenExchange",
	} {
		_, err := packaged(t, values)
		if got := err != nil; got != (want != "") || got && !strings.Contains(err.Error(), want) {
			t.Errorf("with %s the error is %v, want %q", values, err, want)
		}
	}
	if _, err := renderOrError(t, install+"}"); err == nil || !strings.Contains(err.Error(), "make chart") {
		t.Errorf("without the driver's chart the error is %v", err)
	}
}

func TestThePackHoldsTheDriverThatLanyardIsTestedWith(t *testing.T) {
	path, err := Pack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	chart, err := loader.LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tested := strings.TrimPrefix(pinned(t, "DRIVER_VERSION"), "v")
	if wanted := chart.Metadata.Dependencies; len(wanted) != 1 || wanted[0].Version != tested || wanted[0].Condition != "secrets-store-csi-driver.install" {
		t.Errorf("the dependencies are %v", wanted)
	}
	if held := chart.Dependencies(); len(held) != 1 || held[0].Metadata.Version != tested || len(held[0].CRDObjects()) != 2 {
		t.Errorf("the archive holds %v", held)
	}
}

// pinned is a line of versions.env.
func pinned(t *testing.T, name string) string {
	t.Helper()
	for line := range strings.Lines(string(source(t, "versions.env"))) {
		if value, found := strings.CutPrefix(line, name+"="); found {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("versions.env has no %s", name)
	return ""
}

// TestTheNotesListTheAudiencesThatAreNeeded is the table of docs/install.md, in
// the words of the configuration.
func TestTheNotesListTheAudiencesThatAreNeeded(t *testing.T) {
	const closed = "policy: {classStores: false}"
	for values, want := range map[string][]string{
		"": nil,
		"config: {stores: {a: {type: vault, auth: {method: kubernetes}}}}":                                                                               {"vault  (the store a)"},
		"config: {stores: {a: {type: vault, auth: {method: jwt, audience: mine}}, b: {type: vault, auth: {audience: mine}}}}":                            {"mine  (the store a, the store b)"},
		"config: {stores: {a: {type: vault, auth: {method: approle}}, b: {type: vault, auth: {method: cert}}}}":                                          nil,
		"config: {stores: {a: {type: vault, auth: {method: jwt, jwtFile: /var/run/secrets/kubernetes.io/serviceaccount/token}}}}":                        nil,
		"config: {stores: {a: {type: aws-parameter-store}, b: {type: aws-kms, auth: {method: podIdentity}}}}":                                            {"pods.eks.amazonaws.com  (the store b)", "sts.amazonaws.com  (the store a)"},
		"config: {stores: {a: {type: azure-key-vault}}}":                                                                                                 {"api://AzureADTokenExchange  (the store a)"},
		"config: {stores: {a: {type: azure-key-vault, auth: {identityBinding: true}}}}":                                                                  {"api://AKSIdentityBinding  (the store a)"},
		"config: {stores: {a: {type: azure-key-vault, auth: {method: managedIdentity}}, b: {type: azure-key-vault, auth: {clientSecretCredential: s}}}}": nil,
		"config: {stores: {a: {type: google-secret-manager}}}":                                                                                           {"PROJECT.svc.id.goog  (the store a)"},
		"config: {stores: {a: {type: google-secret-manager, auth: {audience: 'identitynamespace:p.svc.id.goog:x'}}}}":                                    {"p.svc.id.goog  (the store a)"},
		"config: {stores: {a: {type: google-secret-manager, auth: {audience: '//iam.googleapis.com/projects/1'}}}}":                                      {"https://iam.googleapis.com/projects/1  (the store a)"},
		"config: {stores: {a: {type: google-secret-manager, auth: {method: metadata}}}}":                                                                 nil,
		"config: {stores: {a: {type: sealed, keys: [{name: k, service: {type: aws}}, {name: l, openAs: node, service: {type: vault}}]}}}":                {"sts.amazonaws.com  (the store a)"},
		"dialects: [vault, aws, azure, gcp, openbao]":                                                                                                    {"PROJECT.svc.id.goog  (the dialect gcp)", "api://AzureADTokenExchange  (the dialect azure)", "openbao  (the dialect openbao)", "sts.amazonaws.com  (the dialect aws)", "vault  (the dialect vault)"},
		"{dialects: [vault], config: {stores: {vault: {type: vault, auth: {method: approle}}}}}":                                                         nil,
	} {
		notes := render(t, values).Notes
		_, list, found := strings.Cut(notes, "needs these audiences:\n\n")
		list, _, _ = strings.Cut(list, "\n\n")
		var got []string
		for line := range strings.Lines(list) {
			got = append(got, strings.TrimSpace(line))
		}
		if found != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("with %s the notes list\n%q, want\n%q", values, got, want)
		}
		if !found && !strings.Contains(notes, "needs a token of a pod's") {
			t.Errorf("with %s the notes do not say that nothing is needed:\n%s", values, notes)
		}
	}
	if quiet := render(t, "config: {"+closed+"}").Notes; strings.Contains(quiet, "kubectl patch") {
		t.Errorf("where no token is needed the notes say\n%s", quiet)
	}
}

func TestNotesShowTheWebhooksValues(t *testing.T) {
	notes := render(t, "inject: "+allOfInject).Notes
	for _, want := range []string{"secrets, kube-system, secure", "vault, sts.amazonaws.com", "https://vault.example.com:8200, logging in at auth/kubernetes", "akv2k8s", "ImageVolume", "everyone may reach the port"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
}
