package aws

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// What stands for the pod's identity in the name and the tags of sessions.
const (
	namespacePlace = "{namespace}"
	accountPlace   = "{serviceAccount}"
)

// defaultSession is the name of a pod's sessions where nobody says another.
const defaultSession = "lanyard." + namespacePlace + "." + accountPlace

// The bounds of a session's name and tags.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
// https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html
const (
	minSession  = 2
	maxSession  = 64
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

var (
	sessionText = regexp.MustCompile(`^[a-zA-Z0-9_+=,.@-]*$`)
	tagText     = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]*$`)
)

// withoutPlaces is a text without what stands for the pod's identity.
func withoutPlaces(text string) string {
	return strings.NewReplacer(namespacePlace, "", accountPlace, "").Replace(text)
}

// withIdentity is a text with the pod's identity in its places.
func withIdentity(text string, as identity.Identity) string {
	return strings.NewReplacer(namespacePlace, as.Namespace, accountPlace, as.ServiceAccount).Replace(text)
}

// checkSession notes what is wrong with the name and the tags of sessions.
func (a *Auth) checkSession(problems *remote.Problems) {
	if fixed := withoutPlaces(a.SessionName); !sessionText.MatchString(fixed) || len(fixed) > maxSession || len(a.SessionName) < minSession {
		problems.Add("auth.sessionName", "must be %d to %d letters, digits and +=,.@_-, in which %s and %s stand for those of the pod", minSession, maxSession, namespacePlace, accountPlace)
	}
	if len(a.Tags) > maxTags {
		problems.Add("auth.tags", "has %d tags; the maximum is %d", len(a.Tags), maxTags)
		return
	}
	if len(a.Tags) > 0 && len(a.Chain) == 0 {
		problems.Add("auth.tags", "are sent for the roles of auth.chain, and there are none: AWS takes no tags beside a pod's token; put the role that wants them into auth.chain")
	}
	seen := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(a.Tags)) {
		field, folded := "auth.tags."+message.Excerpt(key), strings.ToLower(key)
		value := withoutPlaces(a.Tags[key])
		switch first, again := seen[folded]; {
		case key == "" || utf8.RuneCountInString(key) > maxTagKey || !tagText.MatchString(key):
			problems.Add(field, "a tag's key must be 1 to %d letters, digits, spaces and _.:/=+@-", maxTagKey)
		case strings.HasPrefix(folded, "aws:"):
			problems.Add(field, "keys that begin with aws: are AWS's own; give another key")
		case again:
			problems.Add(field, "is the key %s in other letters, which AWS takes for the same; remove one", message.Excerpt(first))
		case utf8.RuneCountInString(value) > maxTagValue || !tagText.MatchString(value):
			problems.Add(field, "a tag's value must be at most %d letters, digits, spaces and _.:/=+@-, in which %s and %s stand for those of the pod", maxTagValue, namespacePlace, accountPlace)
		}
		seen[folded] = key
	}
}

// session is how a pod's sessions are called and tagged.
type session struct {
	name string // CloudTrail shows it beside the role
	tags []types.Tag
}

// session returns the pod's. A name that is too long is cut, but no tag is, since who may
// read what may hang on it.
func (a *Auth) session(as identity.Identity) (session, *CallError) {
	// What no name in Kubernetes has cannot be in a name there either.
	name := strings.Map(func(r rune) rune {
		if sessionText.MatchString(string(r)) {
			return r
		}
		return '_'
	}, withIdentity(a.SessionName, as))
	s := session{name: name[:min(len(name), maxSession)]}
	for _, key := range slices.Sorted(maps.Keys(a.Tags)) {
		value := withIdentity(a.Tags[key], as)
		if utf8.RuneCountInString(value) > maxTagValue || !tagText.MatchString(value) {
			return session{}, failf(fault.ErrInvalid, "auth.tags.%s: with the pod's identity in it the value is no tag of at most %d characters; give a shorter one", message.Excerpt(key), maxTagValue)
		}
		s.tags = append(s.tags, types.Tag{Key: awssdk.String(key), Value: awssdk.String(value)})
	}
	return s, nil
}

// sessionKey is what of the settings makes other sessions.
func (a *Auth) sessionKey() string {
	var key strings.Builder
	fmt.Fprintf(&key, "%q", a.SessionName)
	for _, tag := range slices.Sorted(maps.Keys(a.Tags)) {
		fmt.Fprintf(&key, " %q=%q", tag, a.Tags[tag])
	}
	return key.String()
}
