package csi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// What the kubelet and the driver add to the class's parameters:
// https://kubernetes-csi.github.io/docs/pod-info.html
// https://kubernetes-csi.github.io/docs/token-requests.html
const (
	podInfoPrefix     = "csi.storage.k8s.io/"
	podNameKey        = podInfoPrefix + "pod.name"
	podNamespaceKey   = podInfoPrefix + "pod.namespace"
	podUIDKey         = podInfoPrefix + "pod.uid"
	serviceAccountKey = podInfoPrefix + "serviceAccount.name"
	tokensKey         = podInfoPrefix + "serviceAccount.tokens"
	classKey          = "secretProviderClass"
)

// parse is the function parse, and remembers requests that are sent again and again.
func (s *service) parse(message *v1alpha1.MountRequest) (engine.Request, string, error) {
	raw, maxBytes := rawOf(message), s.requestBytes.Load()
	if bytesOf(message) <= maxBytes {
		if known := s.recent.get(raw); known != nil {
			return known.request, known.class, nil
		}
	}
	req, class, err := parse(message, maxBytes)
	if err == nil {
		req.Prepared = new(engine.Prepared)
		s.recent.add(raw, &parsed{req, class})
	}
	return req, class, err
}

// parse returns the Request of a message, and the class's name. After an error the
// Request has as much of the pod as could be parsed. The error is a gRPC status and
// repeats no value, because any of them may be a secret.
func parse(message *v1alpha1.MountRequest, maxBytes int64) (req engine.Request, class string, err error) {
	parameters, err := stringMap(message.GetAttributes())
	if err != nil && bytesOf(message) <= maxBytes {
		return req, "", malformed("attributes", err)
	}
	req.Identity = identity.Identity{
		Namespace:      parameters[podNamespaceKey],
		ServiceAccount: parameters[serviceAccountKey],
		Pod:            parameters[podNameKey],
		PodUID:         parameters[podUIDKey],
	}
	class = parameters[classKey]
	if size := bytesOf(message); size > maxBytes {
		return req, class, tooLarge(size, maxBytes, parameters)
	}
	credentials, err := stringMap(message.GetSecrets())
	if err != nil {
		return req, class, malformed("secrets", err)
	}

	// Since Kubernetes 1.35 the kubelet can pass tokens among the secrets, where
	// no pod author can put anything under this name.
	tokens, ok := credentials[tokensKey]
	if !ok {
		tokens = parameters[tokensKey]
	}
	delete(credentials, tokensKey)
	delete(parameters, classKey)
	maps.DeleteFunc(parameters, func(name, _ string) bool { return strings.HasPrefix(name, podInfoPrefix) })
	req.Parameters = parameters

	if req.Identity.Namespace == "" || req.Identity.ServiceAccount == "" {
		return req, class, invalid("the mount request does not name the pod's namespace and service account; set podInfoOnMount: true in the CSIDriver secrets-store.csi.k8s.io")
	}
	if req.Mode, err = permission(message.GetPermission()); err != nil {
		return req, class, err
	}
	if req.Identity.Tokens, err = parseTokens(tokens); err != nil {
		return req, class, err
	}
	if len(credentials) > 0 {
		req.Identity.Credentials = make(map[string]secret.Bytes, len(credentials))
		for name, value := range credentials {
			req.Identity.Credentials[name] = secret.NewString(value)
		}
	}
	return req, class, nil
}

func bytesOf(message *v1alpha1.MountRequest) int64 {
	return int64(len(message.GetAttributes()) + len(message.GetSecrets()) + len(message.GetTargetPath()) + len(message.GetPermission()))
}

// tooLarge is the refusal of a request of more than maxBytes; it names what
// makes it so large.
func tooLarge(size, maxBytes int64, parameters map[string]string) error {
	largest, length := "", 0
	for name, value := range parameters {
		if len(value) > length || len(value) == length && name < largest {
			largest, length = name, len(value)
		}
	}
	text := "the mount request holds " + megabytes(size) + " and this node accepts " + megabytes(maxBytes)
	if largest != "" {
		text += "; most of it is the parameter " + strconv.Quote(shown(largest)) + " with " + megabytes(int64(length))
	}
	return status.Error(codes.OutOfRange, text+"; divide the SecretProviderClass into several, or have the operator raise bounds.requestBytes")
}

func megabytes(n int64) string {
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 2, 64) + " MiB"
}

// permission is the mode of files without one of their own: a decimal number,
// "420" for 0644. Zero leaves it to the engine.
func permission(text string) (fs.FileMode, error) {
	if text == "" {
		return 0, nil
	}
	mode, err := strconv.ParseUint(text, 10, 16)
	if err != nil || mode > 0o777 {
		return 0, invalid("the mount request's permission must be a decimal number from 0 to 511, such as 420 for 0644")
	}
	return fs.FileMode(mode), nil
}

// parseTokens decodes the pod's tokens, by audience:
// {"<audience>": {"token": "...", "expirationTimestamp": "..."}}.
func parseTokens(text string) (map[string]identity.Token, error) {
	if text == "" {
		return nil, nil
	}
	tokens := map[string]identity.Token{}
	err := entries(text, func(from *json.Decoder, audience string) error {
		var sent struct {
			Token   string    `json:"token"`
			Expires time.Time `json:"expirationTimestamp"`
		}
		err := from.Decode(&sent)
		tokens[audience] = identity.Token{JWT: secret.NewString(sent.Token), Expires: sent.Expires}
		return err
	})
	if err != nil {
		return nil, invalid("the pod's service account tokens in the mount request are not what the kubelet sends: a JSON object of audiences, each with token and expirationTimestamp")
	}
	for audience, token := range tokens {
		if token.JWT.Len() == 0 {
			return nil, invalid("the pod's service account token for audience %s in the mount request is empty", strconv.Quote(shown(audience)))
		}
	}
	return tokens, nil
}

// stringMap decodes an object of strings.
func stringMap(text string) (map[string]string, error) {
	decoded := map[string]string{}
	return decoded, entries(text, func(from *json.Decoder, name string) error {
		value, err := from.Token()
		text, is := value.(string)
		if err != nil || !is {
			return errors.New("no string")
		}
		decoded[name] = text
		return nil
	})
}

// maxEntries is how many entries an object of a request may have. Decoded, one takes some
// hundred bytes, and a megabyte of text can have two hundred thousand.
const maxEntries = 1000

var errTooMany = fmt.Errorf("there are more than %d entries", maxEntries)

// entries reads an object, of which nothing and null are an empty one, and has entry decode
// the value of each name. The error is errTooMany, or says at about which byte the text stops
// being what is wanted, and never what stands there.
func entries(text string, entry func(from *json.Decoder, name string) error) error {
	if text == "" || text == "null" {
		return nil
	}
	from := json.NewDecoder(strings.NewReader(text))
	next := func(want json.Token) bool {
		token, err := from.Token()
		return err == nil && token == want
	}
	wrong := func() error { return fmt.Errorf("byte %d is not what belongs there", from.InputOffset()+1) }
	if !next(json.Delim('{')) {
		return wrong()
	}
	for n := 0; from.More(); n++ {
		if n == maxEntries {
			return errTooMany
		}
		token, err := from.Token()
		name, is := token.(string)
		if err != nil || !is || entry(from, name) != nil {
			return wrong()
		}
	}
	if !next(json.Delim('}')) {
		return wrong()
	}
	if _, err := from.Token(); !errors.Is(err, io.EOF) {
		return wrong()
	}
	return nil
}

// malformed is the error of a part of a request that stringMap did not decode.
func malformed(part string, err error) error {
	if errors.Is(err, errTooMany) {
		return invalid("the mount request's %s have more than %d entries; divide the SecretProviderClass or the volume's Secret into several", part, maxEntries)
	}
	return invalid("the mount request's %s are not a JSON object of strings (%v); the caller is not a Secrets Store CSI driver", part, err)
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}
