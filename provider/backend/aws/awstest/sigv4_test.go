package awstest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
)

const (
	keyID     = "ASIATEST"
	secretKey = "a secret key for this test alone"
	body      = `{"SecretId":"db"}`
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// signed is a request as a server gets it, signed by the SDK's own signer.
func signed(t *testing.T, target string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	digest := sha256.Sum256([]byte(body))
	credentials := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey, SessionToken: "session token"}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, req, hex.EncodeToString(digest[:]), "secretsmanager", "eu-west-1", now); err != nil {
		t.Fatal(err)
	}
	got := httptest.NewRequest(http.MethodPost, target, bytes.NewReader([]byte(body)))
	got.Header = req.Header.Clone()
	got.Host = req.Host
	return got
}

func TestASignatureOfTheSDKIsFoundRight(t *testing.T) {
	for _, target := range []string{
		"https://secretsmanager.eu-west-1.amazonaws.com/",
		"http://127.0.0.1:4566",
		"https://host/a%20path/of%2Fparts/?b=2&a=1%203&a=0&empty=",
	} {
		t.Run(target, func(t *testing.T) {
			req := signed(t, target)
			signature, failed := awstest.ParseSignature(req)
			if failed != nil {
				t.Fatal(failed)
			}
			if signature.AccessKeyID != keyID || signature.Region != "eu-west-1" || signature.Service != "secretsmanager" {
				t.Errorf("signature %+v", signature)
			}
			if failed := signature.Verify(req, []byte(body), secretKey, now); failed != nil {
				t.Error(failed)
			}
		})
	}
}

func TestAnythingThatIsNotAsItWasSignedIsRefused(t *testing.T) {
	for name, change := range map[string]func(r *http.Request) (content, key string, at time.Time){
		"another key":    func(*http.Request) (string, string, time.Time) { return body, "another", now },
		"another body":   func(*http.Request) (string, string, time.Time) { return `{"SecretId":"other"}`, secretKey, now },
		"another host":   func(r *http.Request) (string, string, time.Time) { r.Host = "evil"; return body, secretKey, now },
		"another path":   func(r *http.Request) (string, string, time.Time) { r.URL.Path = "/x"; return body, secretKey, now },
		"another query":  func(r *http.Request) (string, string, time.Time) { r.URL.RawQuery = "a=1"; return body, secretKey, now },
		"another method": func(r *http.Request) (string, string, time.Time) { r.Method = "PUT"; return body, secretKey, now },
		"another target": func(r *http.Request) (string, string, time.Time) {
			r.Header.Set("X-Amz-Target", "x.y")
			return body, secretKey, now
		},
		"another token": func(r *http.Request) (string, string, time.Time) {
			r.Header.Set("X-Amz-Security-Token", "x")
			return body, secretKey, now
		},
		"a header beside": func(r *http.Request) (string, string, time.Time) {
			r.Header.Set("X-Amz-Beside", "x")
			return body, secretKey, now
		},
		"an hour later":  func(*http.Request) (string, string, time.Time) { return body, secretKey, now.Add(time.Hour) },
		"an hour before": func(*http.Request) (string, string, time.Time) { return body, secretKey, now.Add(-time.Hour) },
		"another day's date": func(r *http.Request) (string, string, time.Time) {
			r.Header.Set("X-Amz-Date", "20260103T030405Z")
			return body, secretKey, now.AddDate(0, 0, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := signed(t, "https://secretsmanager.eu-west-1.amazonaws.com/")
			signature, failed := awstest.ParseSignature(req)
			if failed != nil {
				t.Fatal(failed)
			}
			content, key, at := change(req)
			if failed := signature.Verify(req, []byte(content), key, at); failed == nil || failed.Code != "InvalidSignatureException" {
				t.Errorf("Verify = %v, want that it is refused", failed)
			}
		})
	}
}

func TestACallWithoutASignatureIsRefused(t *testing.T) {
	server := awstest.New(t)
	for name, header := range map[string]string{
		"none":         "",
		"basic":        "Basic YTpi",
		"no scope":     "AWS4-HMAC-SHA256 Credential=AKIA, SignedHeaders=host, Signature=00",
		"unknown key":  "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=" + hex.EncodeToString(make([]byte, 32)),
		"short digest": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=00",
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, bytes.NewReader([]byte(body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if answer, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest || err != nil {
				t.Errorf("answered %d %s %v", resp.StatusCode, answer, err)
			}
		})
	}
}
