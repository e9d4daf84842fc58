package aws_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	platform "github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/aws"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	ireland   = "eu-west-1"
	frankfurt = "eu-central-1"
)

var (
	node  identity.Identity
	scope = key.Context{"cluster": "test", "namespace": "prod"}
)

// fixture is an AWS with KMS, a role for the service account prod/web and one
// for the node, both of which may use every key.
type fixture struct {
	*awstest.Server
	kms      *awstest.KMS
	issuer   *identitytest.Issuer
	typ      *aws.Type
	web      string // the roles' ARNs
	node     string
	key      string // a key's ARN
	tokens   []string
	nodeFile string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureAt(t, awstest.New(t))
}

func newFixtureAt(t *testing.T, server *awstest.Server) *fixture {
	t.Helper()
	kms := server.NewKMS()
	shared := platform.New(platform.Options{})
	t.Cleanup(shared.Close)
	f := &fixture{Server: server, kms: kms, issuer: server.NewIssuer(t), typ: aws.NewType(shared), nodeFile: filepath.Join(t.TempDir(), "token")}
	f.web = server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}})
	f.node = server.PutRole("node", awstest.Role{Accounts: []string{"kube-system/kms"}, Reads: []string{"*"}})
	server.SetInstanceRole(f.node)
	token := f.issuer.Token(t, "kube-system/kms", "sts.amazonaws.com", time.Now().Add(time.Hour))
	f.tokens = append(f.tokens, token)
	if err := os.WriteFile(f.nodeFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.key = kms.Create(t, ireland, false)
	return f
}

// pod is a pod of a service account with its token for STS.
func (f *fixture) pod(t *testing.T, account string) identity.Identity {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	expires := time.Now().Add(time.Hour)
	token := f.issuer.Token(t, account, "sts.amazonaws.com", expires)
	f.tokens = append(f.tokens, token)
	return identity.Identity{
		Cluster: "test", Namespace: namespace, ServiceAccount: name, Pod: name + "-0", PodUID: "uid-" + name,
		Tokens: map[string]identity.Token{"sts.amazonaws.com": {JWT: secret.NewString(token), Expires: expires}},
	}
}

// asNode are the settings of a key for the node, by its instance's role.
func (f *fixture) asNode(arn string, more map[string]any) key.Settings {
	fields := map[string]any{
		"key": arn, "endpoint": f.URL, "retries": 1, "timeout": "1m",
		"node": map[string]any{"method": "instanceRole", "metadataEndpoint": f.URL, "stsEndpoint": f.URL},
	}
	maps.Copy(fields, more)
	return key.Settings{Fields: fields, ByOperator: true}
}

// asPod are the settings of a key for pods with the role web.
func (f *fixture) asPod(arn string, more map[string]any) key.Settings {
	fields := map[string]any{
		"key": arn, "endpoint": f.URL, "retries": 1, "timeout": "1m",
		"auth": map[string]any{"role": f.web, "stsEndpoint": f.URL},
	}
	maps.Copy(fields, more)
	return key.Settings{Fields: fields, ByOperator: true}
}

func (f *fixture) open(t *testing.T, settings key.Settings) key.Key {
	t.Helper()
	opened, err := f.typ.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

func encrypt(t *testing.T, with key.Key, as identity.Identity, bound key.Context) key.Ciphertext {
	t.Helper()
	made, err := with.Encrypt(t.Context(), as, secret.NewString("plaintext"), bound)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func wantPlain(t *testing.T, with key.Key, as identity.Identity, made key.Ciphertext, bound key.Context) {
	t.Helper()
	if plain, err := with.Decrypt(t.Context(), as, made, bound); err != nil || plain.RevealString() != "plaintext" {
		t.Errorf("Decrypt: %d bytes, error %v", plain.Len(), err)
	}
}

func TestEndpointsWithAnAuthorityOfOnesOwn(t *testing.T) {
	f := newFixtureAt(t, awstest.NewTLS(t))
	trusting := map[string]any{"tls": map[string]any{"caCert": f.Authority}}
	for as, settings := range map[*identity.Identity]key.Settings{&node: f.asNode(f.key, trusting), new(f.pod(t, "prod/web")): f.asPod(f.key, trusting)} {
		opened := f.open(t, settings)
		wantPlain(t, opened, *as, encrypt(t, opened, *as, scope), scope)
	}
	opened := f.open(t, f.asPod(f.key, map[string]any{"retries": 0}))
	_, err := opened.Encrypt(t.Context(), f.pod(t, "prod/web"), secret.NewString("v"), scope)
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without the authority: %v", err)
	}
}

func TestKMSMeetsTheContract(t *testing.T) {
	for name, how := range map[string]func(t *testing.T, f *fixture) (settings func(arn string, more map[string]any) key.Settings, as identity.Identity, arn string){
		"as a pod": func(t *testing.T, f *fixture) (func(string, map[string]any) key.Settings, identity.Identity, string) {
			return f.asPod, f.pod(t, "prod/web"), f.key
		},
		"as the node": func(_ *testing.T, f *fixture) (func(string, map[string]any) key.Settings, identity.Identity, string) {
			return f.asNode, node, f.key
		},
		"alias, as the node": func(_ *testing.T, f *fixture) (func(string, map[string]any) key.Settings, identity.Identity, string) {
			return f.asNode, node, f.kms.Alias("kms", f.key)
		},
		"multi-Region, as the node": func(t *testing.T, f *fixture) (func(string, map[string]any) key.Settings, identity.Identity, string) {
			f.key = f.kms.Create(t, ireland, true)
			return f.asNode, node, f.key
		},
	} {
		t.Run(name, func(t *testing.T) {
			keytest.Run(t, func(t *testing.T) *keytest.Fixture {
				f := newFixture(t)
				settings, as, arn := how(t, f)
				others := map[string]identity.Identity{"a pod": f.pod(t, "prod/web")}
				if !key.IsNode(as) {
					others = map[string]identity.Identity{"the node": node, "another service account": f.pod(t, "prod/other"), "another namespace": f.pod(t, "dev/web")}
				}
				// An alias may have pointed to any other key of its account and region.
				elsewhere := ireland
				if strings.Contains(arn, ":alias/") {
					elsewhere = frankfurt
				}
				anothers := map[string]string{"arn:aws:kms": "arn:aws:iam"}
				if !strings.Contains(arn, ":alias/") {
					anothers[f.key] = f.kms.Create(t, ireland, false)
				}
				same := settings(arn, map[string]any{"region": ireland})
				return &keytest.Fixture{
					Type: f.typ, Settings: settings(arn, nil), Other: settings(f.kms.Create(t, elsewhere, false), nil), SameKey: &same,
					Identity: as, OtherCallers: others, DetectsVersion: true,
					Rotate: func(t *testing.T) { f.kms.Rotate(t, f.key) },
					Fail:   func(*testing.T) { f.Add(awstest.Fault{Drop: true}) },
					Answers: &keytest.Answers{
						Settings: settings(arn, map[string]any{"retries": 0}), Rewrite: f.Rewrite,
						Values: []string{"CiphertextBlob", "Plaintext"}, Free: []string{"EncryptionAlgorithm", "KeyMaterialId"},
						Others: anothers, Throttled: f.Throttling("kms:GenerateDataKey"),
						OtherVersions: func(made key.Ciphertext) map[string]string {
							_, material, _ := strings.Cut(made.Version, "#")
							return map[string]string{f.key: f.kms.Create(t, ireland, false), material: strings.Repeat("0f", 32)}
						},
					},
					InvalidSettings: map[string]key.Settings{"key timeout retries": settings("alias/kms", map[string]any{"timeout": "1ns", "retries": 1000})},
					Planted:         f.tokens,
				}
			})
		})
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	for name, test := range map[string]struct {
		settings key.Settings
		want     []string
	}{
		"name of an alias":            {f.asNode("alias/kms", nil), []string{"key: must be the ARN"}},
		"ID of a key":                 {f.asNode("1234abcd-12ab-34cd-56ef-1234567890ab", nil), []string{"key: must be the ARN"}},
		"ARN of a role":               {f.asNode("arn:aws:iam::111122223333:role/web", nil), []string{"key: must be the ARN"}},
		"every region":                {f.asNode("arn:aws:kms:*:111122223333:alias/kms", nil), []string{"key: must be the ARN"}},
		"another region":              {f.asNode(f.key, map[string]any{"region": frankfurt}), []string{"region: is not the key's, which is in eu-west-1"}},
		"failover of one region":      {f.asNode(f.key, map[string]any{"failoverRegions": []any{frankfurt}}), []string{"failoverRegions: needs a multi-Region key"}},
		"node and auth":               {f.asNode(f.key, map[string]any{"auth": map[string]any{"role": f.web}}), []string{"auth: is how pods log in"}},
		"source without node":         {f.asPod(f.key, map[string]any{"sourceArn": "arn:aws:eks:eu-west-1:111122223333:cluster/c"}), []string{"sourceArn: goes with node"}},
		"source without account":      {f.asNode(f.key, map[string]any{"sourceArn": "arn:aws:s3:::bucket"}), []string{"sourceArn: must be the ARN"}},
		"source with a line's end":    {f.asNode(f.key, map[string]any{"sourceArn": "arn:aws:eks:eu-west-1:111122223333:cluster/c\r\nx"}), []string{"sourceArn: must be the ARN"}},
		"node method misspelled":      {f.asNode(f.key, map[string]any{"node": map[string]any{"method": "instanceRol"}}), []string{"node.method: ", "instanceRole"}},
		"file without role":           {f.asNode(f.key, map[string]any{"node": map[string]any{"method": "webIdentityFile", "tokenFile": "token"}}), []string{"node.tokenFile: must be the absolute", "node.role: must be the ARN"}},
		"role of the instance":        {f.asNode(f.key, map[string]any{"node": map[string]any{"method": "instanceRole", "role": f.web}}), []string{"node.tokenFile: tokenFile and role are for"}},
		"node by a class":             {key.Settings{Fields: f.asNode(f.key, nil).Fields}, []string{"node: is the node's own right"}},
		"unknown field":               {f.asNode(f.key, map[string]any{"keyy": "x"}), []string{"keyy: "}},
		"several at once, one of key": {f.asNode("x", map[string]any{"timeout": "1ns", "sourceArn": "x"}), []string{"key: ", "timeout: ", "sourceArn: "}},
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := f.typ.Open(test.settings)
			if err == nil {
				opened.Close()
				t.Fatal("Open took them")
			}
			for _, want := range test.want {
				if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want invalid with %q", err, want)
				}
			}
		})
	}
}

func TestTheVersionIsTheKeyAndItsMaterial(t *testing.T) {
	f := newFixture(t)
	opened := f.open(t, f.asNode(f.key, nil))
	before := encrypt(t, opened, node, scope)
	f.kms.Rotate(t, f.key)
	after := encrypt(t, opened, node, scope)
	for _, made := range []key.Ciphertext{before, after} {
		if name, material, ok := strings.Cut(made.Version, "#"); !ok || name != f.key || len(material) != 64 {
			t.Errorf("version %q, want %s#<material>", made.Version, f.key)
		}
	}
	if before.Version == after.Version {
		t.Error("the version stayed when the key material changed")
	}
}

// A moved alias is a rotation: nothing that was read before breaks.
func TestWhatAnAliasEncryptedIsReadAfterItMoved(t *testing.T) {
	f := newFixture(t)
	opened := f.open(t, f.asNode(f.kms.Alias("kms", f.key), nil))
	before := encrypt(t, opened, node, scope)
	other := f.kms.Create(t, ireland, false)
	f.kms.Alias("kms", other)
	after := encrypt(t, opened, node, scope)
	wantPlain(t, opened, node, before, scope)
	wantPlain(t, opened, node, after, scope)
	if !strings.HasPrefix(before.Version, f.key+"#") || !strings.HasPrefix(after.Version, other+"#") {
		t.Errorf("versions %q and %q", before.Version, after.Version)
	}
}

// Who seals and who opens may reach one key in different ways.
func TestAKeyIsReadByItsARNAndByEveryAlias(t *testing.T) {
	f := newFixture(t)
	ways := map[string]key.Key{"ARN": f.open(t, f.asNode(f.key, nil))}
	for _, alias := range []string{"one", "two"} {
		ways["alias "+alias] = f.open(t, f.asNode(f.kms.Alias(alias, f.key), nil))
	}
	for by, writer := range ways {
		made := encrypt(t, writer, node, scope)
		for _, reader := range ways {
			wantPlain(t, reader, node, made, scope)
		}
		other := f.open(t, f.asNode(f.kms.Create(t, ireland, false), nil))
		if _, err := other.Decrypt(t.Context(), node, made, scope); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("by %s: another key reads it: %v", by, err)
		}
	}
}

func TestAMultiRegionKeyIsOneKeyInAllItsRegions(t *testing.T) {
	f := newFixture(t)
	primary := f.kms.Create(t, ireland, true)
	replica := f.kms.Replicate(primary, frankfurt)
	here := f.open(t, f.asNode(primary, nil))
	there := f.open(t, f.asNode(replica, nil))
	both := f.open(t, f.asNode(primary, map[string]any{"failoverRegions": []any{frankfurt}}))
	if here.Name() != there.Name() || here.Name() != both.Name() {
		t.Errorf("one key is called %q, %q and %q", here.Name(), there.Name(), both.Name())
	}
	made := encrypt(t, here, node, scope)
	wantPlain(t, there, node, made, scope)
	if again := encrypt(t, there, node, scope); again.Version != made.Version {
		t.Errorf("one key material is version %q and %q", made.Version, again.Version)
	}
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	wantPlain(t, both, node, made, scope)
	wantPlain(t, both, node, encrypt(t, both, node, scope), scope)
}

func TestTheNodeSaysForWhomItAsks(t *testing.T) {
	f := newFixture(t)
	const source = "arn:aws:eks:eu-west-1:444455556666:cluster/production"
	opened := f.open(t, f.asNode(f.key, map[string]any{"sourceArn": source}))
	wantPlain(t, opened, node, encrypt(t, opened, node, scope), scope)
	if _, err := opened.Current(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	if want := slices.Repeat([]string{source + " 444455556666"}, 3); !slices.Equal(f.kms.Sources(), want) {
		t.Errorf("calls came for %q, want %q", f.kms.Sources(), want)
	}
}

func TestTheNodeGetsCredentialsByItsOwnMeans(t *testing.T) {
	f := newFixture(t)
	further := f.PutRole("further", awstest.Role{Roles: []string{f.node}, Reads: []string{"*"}})
	guarded := f.PutRole("guarded", awstest.Role{Roles: []string{f.node}, ExternalID: "nodes", Reads: []string{"*"}})
	for name, method := range map[string]map[string]any{
		"with an external ID":     {"method": "instanceRole", "metadataEndpoint": f.URL, "chain": []any{guarded}, "externalID": "nodes", "stsEndpoint": f.URL},
		"instance role":           {"method": "instanceRole", "metadataEndpoint": f.URL},
		"web identity file":       {"method": "webIdentityFile", "tokenFile": f.nodeFile, "role": f.node, "stsEndpoint": f.URL},
		"a further role":          {"method": "instanceRole", "metadataEndpoint": f.URL, "chain": []any{further}, "stsEndpoint": f.URL},
		"a further role, by file": {"method": "webIdentityFile", "tokenFile": f.nodeFile, "role": f.node, "chain": []any{further}, "stsEndpoint": f.URL},
	} {
		t.Run(name, func(t *testing.T) {
			opened := f.open(t, f.asNode(f.key, map[string]any{"node": method}))
			wantPlain(t, opened, node, encrypt(t, opened, node, scope), scope)
		})
	}
	f.ExpireSessions()
	opened := f.open(t, f.asNode(f.key, nil))
	wantPlain(t, opened, node, encrypt(t, opened, node, scope), scope)
}

func TestFailuresOfTheNodesCredentialsSayWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, f *fixture)
		file  bool
		kind  error
		want  string
	}{
		"no role":     {func(_ *testing.T, f *fixture) { f.SetInstanceRole("") }, false, fault.ErrUnauthenticated, "check that the instance has a role"},
		"no metadata": {func(_ *testing.T, f *fixture) { f.Add(awstest.Fault{Action: "imds:GetCredentials", Drop: true}) }, false, fault.ErrUnavailable, "http-put-response-hop-limit"},
		"no file":     {func(t *testing.T, f *fixture) { t.Helper(); _ = os.Remove(f.nodeFile) }, true, fault.ErrUnauthenticated, "node.tokenFile: "},
		"role does not trust": {func(t *testing.T, f *fixture) {
			t.Helper()
			f.PutRole("node", awstest.Role{Reads: []string{"*"}})
		}, true, fault.ErrDenied, "check that the role exists"},
		"expired token": {func(t *testing.T, f *fixture) {
			t.Helper()
			token := f.issuer.Token(t, "kube-system/kms", "sts.amazonaws.com", time.Now().Add(-time.Minute))
			_ = os.WriteFile(f.nodeFile, []byte(token), 0o600)
		}, true, fault.ErrUnauthenticated, "the token in "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			settings := f.asNode(f.key, nil)
			if test.file {
				settings = f.asNode(f.key, map[string]any{"node": map[string]any{"method": "webIdentityFile", "tokenFile": f.nodeFile, "role": f.node, "stsEndpoint": f.URL}})
			}
			test.spoil(t, f)
			_, err := f.open(t, settings).Current(t.Context(), node)
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %v with %q", err, test.kind, test.want)
			}
		})
	}
}

// KMS itself, by the role's policy, opens only what is bound to the role's own
// namespace.
func TestAPolicyLetsARoleOpenItsOwnNamespaceAlone(t *testing.T) {
	f := newFixture(t)
	writer := f.open(t, f.asNode(f.key, nil))
	reader, pod := f.open(t, f.asPod(f.key, nil)), f.pod(t, "prod/web")
	f.kms.Demand(f.web, "namespace", "prod")
	wantPlain(t, reader, pod, encrypt(t, writer, node, scope), scope)
	foreign := key.Context{"cluster": "test", "namespace": "dev"}
	if _, err := reader.Decrypt(t.Context(), pod, encrypt(t, writer, node, foreign), foreign); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "encryption context") {
		t.Errorf("error %v, want denied", err)
	}
}

func TestStatesOfAKeySayWhatToDo(t *testing.T) {
	for code, test := range map[string]struct {
		kind error
		want string
	}{
		"DisabledException":        {fault.ErrInvalid, "enable-key"},
		"KMSInvalidStateException": {fault.ErrInvalid, "cancel-key-deletion"},
		"KeyUnavailableException":  {fault.ErrUnavailable, "KeyUnavailableException"},
		"InvalidKeyUsageException": {fault.ErrInvalid, "SYMMETRIC_DEFAULT"},
		"NotFoundException":        {fault.ErrNotFound, "check the ARN"},
		"ThrottlingException":      {fault.ErrUnavailable, "throttling"},
		"KMSInternalException":     {fault.ErrUnavailable, "KMSInternalException"},
		"AccessDeniedException":    {fault.ErrDenied, "the role's policy and the key's must both allow"},
	} {
		t.Run(code, func(t *testing.T) {
			f := newFixture(t)
			opened := f.open(t, f.asNode(f.key, map[string]any{"retries": 1}))
			made := encrypt(t, opened, node, scope)
			f.kms.Fail(f.key, code)
			_, err := opened.Decrypt(t.Context(), node, made, scope)
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), f.key) {
				t.Errorf("error %v, want %v with %q and the key", err, test.kind, test.want)
			}
			f.kms.Fail(f.key, "")
			wantPlain(t, opened, node, made, scope)
		})
	}
}

func TestOneCallForEachUse(t *testing.T) {
	f := newFixture(t)
	opened := f.open(t, f.asNode(f.key, nil))
	made := encrypt(t, opened, node, scope)
	wantPlain(t, opened, node, made, scope)
	f.ResetCalls()
	encrypt(t, opened, node, scope)
	wantPlain(t, opened, node, made, scope)
	if _, err := opened.Current(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"} {
		if n := f.Calls(action); n != 1 {
			t.Errorf("%d calls of %s for an Encrypt, a Decrypt and a Current, want 1", n, action)
		}
	}
	if n := f.Calls("imds:GetCredentials"); n != 0 {
		t.Errorf("%d calls for credentials that were at hand", n)
	}
}
