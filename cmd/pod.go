package cmd

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// podFlags say which pod a mount is for.
type podFlags struct {
	namespace, serviceAccount, name, uid string
	tokens, credentials, attributes      map[string]string
}

func (p *podFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&p.namespace, "namespace", "n", "", "the `NAME` of the pod's namespace (default: as the token says, else the class's own, else default)")
	flags.StringVar(&p.serviceAccount, "service-account", "", "the `NAME` of the pod's service account (default: as the token says, else default)")
	flags.StringVar(&p.name, "pod", "", "the `NAME` of the pod (default: as the token says, else lanyard-mount)")
	flags.StringVar(&p.uid, "pod-uid", "", "the `UID` of the pod (default: as the token says)")
	flags.StringToStringVar(&p.tokens, "token", nil, "service account token as `AUDIENCE=FILE`, as kubectl create token makes it; may be repeated")
	flags.StringToStringVar(&p.credentials, "credential", nil, "entry of nodePublishSecretRef's Secret as `NAME=FILE`; may be repeated")
	flags.StringToStringVar(&p.attributes, "attribute", nil, "volume attribute of the pod as `NAME=VALUE`, which overrides the class's parameter; may be repeated")
}

// podInput is the pod with its tokens and credentials read from their files.
type podInput struct {
	identity   identity.Identity
	attributes map[string]string
}

func (p *podFlags) read(class classManifest) (podInput, error) {
	in := podInput{attributes: p.attributes, identity: identity.Identity{Tokens: map[string]identity.Token{}, Credentials: map[string]secret.Bytes{}}}
	// They only name the pod: the store verifies the token. All are of one pod.
	var says identity.Claims
	given := maps.Clone(class.tokens)
	if given == nil {
		given = map[string]secret.Bytes{}
	}
	for audience, file := range p.tokens {
		data, err := os.ReadFile(file)
		if err != nil {
			return podInput{}, usagef("--token: %w", err)
		}
		given[audience] = secret.New(bytes.TrimSpace(data))
	}
	for _, audience := range slices.Sorted(maps.Keys(given)) {
		token := given[audience].Reveal()
		claims := identity.ClaimsOf(token)
		if says.Namespace == "" {
			says = claims
		}
		// One that tells no end is taken for an hour, and a store that thinks otherwise
		// says so.
		if claims.Expires.IsZero() {
			claims.Expires = time.Now().Add(time.Hour)
		}
		in.identity.Tokens[audience] = identity.Token{JWT: given[audience], Expires: claims.Expires}
	}
	in.identity.Namespace = cmp.Or(p.namespace, says.Namespace, class.namespace, "default")
	in.identity.ServiceAccount = cmp.Or(p.serviceAccount, says.ServiceAccount, "default")
	in.identity.Pod, in.identity.PodUID = cmp.Or(p.name, says.Pod, "lanyard-mount"), cmp.Or(p.uid, says.PodUID)
	for name, path := range p.credentials {
		data, err := os.ReadFile(path)
		if err != nil {
			return podInput{}, usagef("--credential: %w", err)
		}
		in.identity.Credentials[name] = secret.New(data)
	}
	return in, nil
}

// mountRequest is what the driver would send for the pod.
func mountRequest(class classManifest, pod podInput) (*v1alpha1.MountRequest, error) {
	attributes := map[string]string{}
	maps.Copy(attributes, class.parameters)
	maps.Copy(attributes, pod.attributes)
	id := pod.identity
	maps.Copy(attributes, map[string]string{
		"csi.storage.k8s.io/pod.name":            id.Pod,
		"csi.storage.k8s.io/pod.namespace":       id.Namespace,
		"csi.storage.k8s.io/pod.uid":             id.PodUID,
		"csi.storage.k8s.io/serviceAccount.name": id.ServiceAccount,
		"csi.storage.k8s.io/ephemeral":           "true",
		"secretProviderClass":                    class.name,
	})
	type token struct {
		Token               string    `json:"token"`
		ExpirationTimestamp time.Time `json:"expirationTimestamp"`
	}
	tokens := map[string]token{}
	for audience, t := range id.Tokens {
		tokens[audience] = token{t.JWT.RevealString(), t.Expires}
	}
	secrets := map[string]string{}
	for name, value := range id.Credentials {
		secrets[name] = value.RevealString()
	}
	tokensJSON, err := json.Marshal(tokens)
	if err != nil {
		return nil, err
	}
	if len(tokens) > 0 {
		attributes["csi.storage.k8s.io/serviceAccount.tokens"] = string(tokensJSON)
	}
	attributesJSON, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	secretsJSON, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	return &v1alpha1.MountRequest{Attributes: string(attributesJSON), Secrets: string(secretsJSON), Permission: strconv.Itoa(0o644)}, nil
}

func volumeOf(response *v1alpha1.MountResponse) *engine.Volume {
	volume := &engine.Volume{}
	for _, f := range response.GetFiles() {
		volume.Files = append(volume.Files, engine.File{Path: f.GetPath(), Mode: fs.FileMode(f.GetMode()) & fs.ModePerm, Contents: f.GetContents()}) //nolint:gosec // nine bits are kept
	}
	for _, v := range response.GetObjectVersion() {
		volume.Versions = append(volume.Versions, engine.Version{ID: v.GetId(), Version: v.GetVersion()})
	}
	return volume
}
