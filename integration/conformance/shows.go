package conformance

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"strings"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

type message = v1alpha1.MountRequest

// shows says whether a text holds a secret, plain or in an encoding that
// programs put text into texts with.
func shows(text, secret string) bool {
	if secret == "" {
		return false
	}
	raw := []byte(secret)
	ways := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString(raw)}
	// Within a longer text, base64 depends on where the secret begins; its
	// first and last characters hold bits of their neighbours.
	for shift := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(append(make([]byte, shift), raw...))
			ways = append(ways, encoded[min(len(encoded), (8*shift+5)/6):len(encoded)-1])
		}
	}
	for _, way := range ways {
		if strings.Contains(text, way) {
			return true
		}
	}
	return false
}

// tokenTexts are the tokens by audience of what the kubelet passes.
func tokenTexts(attribute string) map[string]string {
	var tokens map[string]Token
	if err := json.Unmarshal([]byte(attribute), &tokens); err != nil {
		return nil // there are none
	}
	texts := map[string]string{}
	for audience, token := range tokens {
		texts[audience] = token.Token
	}
	return texts
}

// withCredential is what a nodePublishSecretRef holds, and one thing more.
func withCredential(secrets map[string]string, credential string) map[string]string {
	with := map[string]string{"conformance": credential}
	maps.Copy(with, secrets)
	return with
}
