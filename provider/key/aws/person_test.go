package aws_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	platform "github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/person"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/aws"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// setPerson gives this process the environment of someone who has the role of a
// web identity, as a CI job has, and of no one else.
func (f *fixture) setPerson(t *testing.T, role string) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_REGION": ireland, "AWS_ENDPOINT_URL_STS": f.URL,
		"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": f.nodeFile,
	} {
		t.Setenv(name, value)
	}
}

func TestAKeyOfACommandIsUsedWithThePersonsOwnCredentials(t *testing.T) {
	f := newFixture(t)
	shared := platform.New(platform.Options{Person: person.AWS()})
	t.Cleanup(shared.Close)
	typ := aws.NewType(shared)
	open := func(fields map[string]any) key.Key {
		opened, err := typ.OpenElsewhere(key.Settings{Fields: fields, ByOperator: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		return opened
	}
	bare := map[string]any{"key": f.key, "endpoint": f.URL, "retries": 0, "timeout": "1m"}

	f.setPerson(t, f.node)
	opened := open(bare)
	wantPlain(t, opened, node, encrypt(t, opened, node, scope), scope)
	if _, err := opened.Encrypt(t.Context(), f.pod(t, "prod/web"), secret.NewString("v"), scope); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a pod uses the person's credentials: %v", err)
	}

	t.Run("and with no others, which a file could send elsewhere", func(t *testing.T) {
		for field, settings := range map[string]key.Settings{"auth: has no place": f.asPod(f.key, nil), "node: has no place": f.asNode(f.key, nil)} {
			if _, err := typ.Open(settings); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), field) {
				t.Errorf("error %v, want %q", err, field)
			}
		}
	})
	t.Run("and at AWS alone", func(t *testing.T) {
		for _, endpoint := range []string{"http://kms.example.com", "https://kms.example.com", f.URL} {
			_, err := typ.Open(key.Settings{Fields: map[string]any{"key": f.key, "endpoint": endpoint}, ByOperator: true})
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "endpoint: has no place beside your own credentials") {
				t.Errorf("%s: error %v", endpoint, err)
			}
		}
		_, err := typ.Open(key.Settings{Fields: map[string]any{"key": f.key, "tls": map[string]any{"caCert": "x"}}, ByOperator: true})
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "tls: has no place beside your own credentials") {
			t.Errorf("tls: error %v", err)
		}
		opened, err := typ.Open(key.Settings{Fields: map[string]any{"key": f.key}, ByOperator: true})
		if err != nil {
			t.Fatal(err)
		}
		opened.Close()
	})
	t.Run("who has none is told how to log in", func(t *testing.T) {
		f.setPerson(t, "")
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "")
		other := platform.New(platform.Options{Person: person.AWS()})
		t.Cleanup(other.Close)
		opened, err := aws.NewType(other).OpenElsewhere(key.Settings{Fields: bare, ByOperator: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = opened.Encrypt(t.Context(), node, secret.NewString("v"), scope)
		if !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "AWS_PROFILE") {
			t.Errorf("error %v", err)
		}
	})
}

// A role whose policy demands the context of its own namespace opens nothing
// else, whatever asks with it.
func TestAPolicyPartsNamespacesByTheContext(t *testing.T) {
	f := newFixture(t)
	f.kms.Demand(f.web, "namespace", "prod")
	as := f.pod(t, "prod/web")
	writer, reader := f.open(t, f.asNode(f.key, nil)), f.open(t, f.asPod(f.key, nil))
	own := key.Context{"cluster": "test", "namespace": "prod", "service-account": "web"}
	others := key.Context{"cluster": "test", "namespace": "dev", "service-account": "web"}
	wantPlain(t, reader, as, encrypt(t, writer, node, own), own)
	if _, err := reader.Decrypt(t.Context(), as, encrypt(t, writer, node, others), others); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("another namespace's: %v", err)
	}
}
