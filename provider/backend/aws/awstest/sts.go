package awstest

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// session is what was granted to one who assumed a role.
type session struct {
	id, secret, token string
	role              string // its ARN
	arn               string // the assumed role's, with the session's name
	expires           time.Time
}

// serveQuery is STS, which speaks the query protocol.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Version") != "2011-06-15" {
		writeXMLError(w, Fail(http.StatusBadRequest, "InvalidAction", "not a call of STS"))
		return
	}
	action := form.Get("Action")
	s.respond(w, r, "", "sts:"+action, protocol{"text/xml", asText, writeXMLError}, func() (any, *Error) {
		assume := map[string]func(*http.Request, url.Values, []byte) (*session, *Error){
			"AssumeRoleWithWebIdentity": s.assumeWithToken, "AssumeRole": s.assumeAsRole,
		}[action]
		if assume == nil {
			return nil, Fail(http.StatusBadRequest, "InvalidAction", "Could not find operation "+action)
		}
		granted, failed := assume(r, form, body)
		if failed != nil {
			return nil, failed
		}
		return assumed(action, granted), nil
	})
}

func asText(answer any) ([]byte, error) { return fmt.Append(nil, answer), nil }

// assumeWithToken checks the token with the keys of its issuer, its audience
// and its end, and that the role trusts its service account.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors
func (s *Server) assumeWithToken(_ *http.Request, form url.Values, _ []byte) (*session, *Error) {
	account, failed := s.verifyToken(form.Get("WebIdentityToken"), "sts.amazonaws.com")
	if failed != nil {
		return nil, failed
	}
	arn := form.Get("RoleArn")
	s.mu.Lock()
	role, ok := s.roles[arn]
	s.mu.Unlock()
	if !ok || !slices.Contains(role.Accounts, account) {
		return nil, Fail(http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	return s.grant(arn, form.Get("RoleSessionName"))
}

// assumeAsRole is AssumeRole, signed by a session of another role.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (s *Server) assumeAsRole(r *http.Request, form url.Values, body []byte) (*session, *Error) {
	signature, failed := ParseSignature(r)
	if failed != nil {
		return nil, failed
	}
	caller, failed := s.caller(r, signature, body)
	if failed != nil {
		return nil, failed
	}
	arn := form.Get("RoleArn")
	s.mu.Lock()
	role, ok := s.roles[arn]
	s.mu.Unlock()
	if !ok || signature.Service != "sts" || !slices.Contains(role.Roles, caller.RoleARN) || role.ExternalID != "" && form.Get("ExternalId") != role.ExternalID {
		return nil, Fail(http.StatusForbidden, "AccessDenied", "User: "+caller.ARN+" is not authorized to perform: sts:AssumeRole on resource: "+arn)
	}
	tags, failed := tagsOf(form)
	if failed != nil {
		return nil, failed
	}
	if !maps.Equal(tags, role.Tags) {
		return nil, Fail(http.StatusForbidden, "AccessDenied", "User: "+caller.ARN+" is not authorized to perform: sts:TagSession on resource: "+arn)
	}
	return s.grant(arn, form.Get("RoleSessionName"))
}

// What sessions are called and tagged with.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
// https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html
var (
	sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	tagKey      = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$`)
	tagValue    = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)
)

// tagsOf are the session tags of a call: at most 50, and no two keys that differ in case
// alone. Keys that begin with aws: are reserved.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
func tagsOf(form url.Values) (map[string]string, *Error) {
	invalid := func(text string) *Error { return Fail(http.StatusBadRequest, "ValidationError", text) }
	tags, folded := map[string]string{}, map[string]bool{}
	for i := 1; ; i++ {
		member := "Tags.member." + strconv.Itoa(i)
		key, value := form.Get(member+".Key"), form.Get(member+".Value")
		switch lower := strings.ToLower(key); {
		case !form.Has(member + ".Key"):
			return tags, nil
		case i > 50:
			return nil, invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")
		case !tagKey.MatchString(key) || !tagValue.MatchString(value) || !form.Has(member+".Value"):
			return nil, invalid("1 validation error detected: Value at 'tags." + strconv.Itoa(i) + ".member' failed to satisfy constraint")
		case strings.HasPrefix(lower, "aws:"):
			return nil, invalid("System tags can not be added by requester")
		case folded[lower]:
			return nil, Fail(http.StatusBadRequest, "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		default:
			tags[key], folded[lower] = value, true
		}
	}
}

// grant begins a session.
func (s *Server) grant(roleARN, name string) (*session, *Error) {
	if !sessionName.MatchString(name) {
		return nil, Fail(http.StatusBadRequest, "ValidationError", "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*, of length 2 to 64")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	role := roleARN[strings.LastIndex(roleARN, "/")+1:]
	granted := &session{
		id: "ASIA" + random(8), secret: random(20), token: random(64), role: roleARN,
		arn: "arn:aws:sts::" + Account + ":assumed-role/" + role + "/" + name, expires: s.Now().Add(time.Hour),
	}
	s.sessions[granted.id] = granted
	return granted, nil
}

// random is so many random bytes as text.
func random(bytes int) string { return fmt.Sprintf("%X", backendtest.Random(bytes)) }

// assumed is the answer of both actions. None of its texts needs an escape in XML.
func assumed(action string, granted *session) string {
	return fmt.Sprintf(`<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult>
<Credentials>
<AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>%[3]s</SecretAccessKey><SessionToken>%[4]s</SessionToken>
<Expiration>%[5]s</Expiration>
</Credentials>
<AssumedRoleUser><Arn>%[6]s</Arn><AssumedRoleId>AROA:session</AssumedRoleId></AssumedRoleUser>
</%[1]sResult></%[1]sResponse>`,
		action, granted.id, granted.secret, granted.token, granted.expires.UTC().Format(time.RFC3339), granted.arn)
}

func writeXMLError(w http.ResponseWriter, failed *Error) {
	type inner struct{ Type, Code, Message string }
	encoded, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     inner
		RequestID string `xml:"RequestId"`
	}{Error: inner{"Sender", failed.Code, failed.Message}, RequestID: "00000000-0000-4000-8000-000000000000"})
	if err != nil {
		encoded = nil
	}
	w.Header().Set("Content-Type", "text/xml")
	backendtest.Write(w, failed.Status, encoded)
}
