package csi

import (
	"io/fs"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/internal/jsonscan"
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

// parse returns the Request of a message, and the class's name. After an error the
// Request has as much of the pod as could be parsed. The error is a gRPC status and
// repeats no value, because any of them may be a secret.
func parse(message *v1alpha1.MountRequest, maxBytes int64) (req engine.Request, class string, err error) {
	tokens := ""
	req.Parameters = map[string]string{}
	err = jsonscan.Strings(message.GetAttributes(), func(name, value string) {
		switch name {
		case podNamespaceKey:
			req.Identity.Namespace = value
		case serviceAccountKey:
			req.Identity.ServiceAccount = value
		case podNameKey:
			req.Identity.Pod = value
		case podUIDKey:
			req.Identity.PodUID = value
		case tokensKey:
			tokens = value
		case classKey:
			class = value
		default:
			if !strings.HasPrefix(name, podInfoPrefix) {
				req.Parameters[strings.Clone(name)] = value
			}
		}
	})
	size := bytesOf(message)
	if err != nil && size <= maxBytes {
		return req, class, invalid("the mount request's attributes are not a JSON object of strings (%v); the caller is not a Secrets Store CSI driver", err)
	}
	if size > maxBytes {
		return req, class, tooLarge(size, maxBytes, req.Parameters)
	}
	err = jsonscan.Strings(message.GetSecrets(), func(name, value string) {
		if name == tokensKey {
			// Since Kubernetes 1.35 the kubelet can pass tokens among the secrets, where
			// no pod author can put anything under this name.
			tokens = value
			return
		}
		if req.Identity.Credentials == nil {
			req.Identity.Credentials = map[string]secret.Bytes{}
		}
		req.Identity.Credentials[strings.Clone(name)] = secret.NewString(value)
	})
	if err != nil {
		return req, class, invalid("the mount request's secrets are not a JSON object of strings (%v); the caller is not a Secrets Store CSI driver", err)
	}

	if req.Identity.Namespace == "" || req.Identity.ServiceAccount == "" {
		return req, class, invalid("the mount request does not tell the pod's namespace and service account; set podInfoOnMount: true in the CSIDriver secrets-store.csi.k8s.io")
	}
	if req.Mode, err = permission(message.GetPermission()); err != nil {
		return req, class, err
	}
	if req.Identity.Tokens, err = parseTokens(tokens); err != nil {
		return req, class, err
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
	s := jsonscan.New(text)
	err := s.Object(func(audience string) error {
		var token identity.Token
		err := s.Object(func(field string) (err error) {
			var value string
			switch field {
			case "token":
				value, err = s.Part()
				token.JWT = secret.NewString(value)
			case "expirationTimestamp":
				if value, err = s.Part(); err == nil {
					token.Expires, err = time.Parse(time.RFC3339, value)
				}
			default:
				err = s.Skip()
			}
			return err
		})
		tokens[strings.Clone(audience)] = token
		return err
	})
	if err == nil {
		err = s.End()
	}
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

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}
