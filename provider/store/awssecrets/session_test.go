package awssecrets_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The double tells the session's name in its refusals, as AWS does.
func TestSessionsAreCalledAsTheSettingsSay(t *testing.T) {
	f := newFixture(t)
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"others"}})
	chained := f.PutRole("chained", awstest.Role{Roles: []string{f.role}, Reads: []string{"others"}})
	f.PutSecret(ireland, "db", "v")
	for _, test := range map[string]struct{ given, want string }{
		"as ever":          {"", "lanyard.prod.web"},
		"a fixed name":     {"team=shop,+x@y_z", "team=shop,+x@y_z"},
		"with an identity": {"shop-{serviceAccount}@{namespace}", "shop-web@prod"},
		"one that is cut":  {strings.Repeat("x", 60) + "{namespace}{serviceAccount}", strings.Repeat("x", 60) + "prod"},
	} {
		for _, chain := range [][]any{nil, {chained}} {
			s := f.open(t, func(_, auth map[string]any) {
				if test.given != "" {
					auth["sessionName"] = test.given
				}
				auth["chain"] = chain
			})
			_, err := s.Read(t.Context(), f.pod(t, "prod/web"), store.Reference{Key: "db"})
			role := "web"
			if chain != nil {
				role = "chained"
			}
			wantFailure(t, err, fault.ErrDenied, ":assumed-role/"+role+"/"+test.want+" is not authorized")
		}
	}
}

func TestRolesOfAChainThatWantTags(t *testing.T) {
	f := newFixture(t)
	f.PutSecret(ireland, "db", "v")
	tags := map[string]string{"team": "shop", "namespace": "prod", "account": "prod/web", "größe": ""}
	guarded := f.PutRole("guarded", awstest.Role{Roles: []string{f.role}, Tags: tags, Reads: []string{"db"}})
	further := f.PutRole("further", awstest.Role{Roles: []string{guarded}, Tags: tags, Reads: []string{"db"}})
	web := f.pod(t, "prod/web")
	with := func(chain []any, given map[string]any) store.Store {
		return f.open(t, func(_, auth map[string]any) {
			auth["chain"] = chain
			if given != nil {
				auth["tags"] = given
			}
		})
	}
	given := map[string]any{"team": "shop", "namespace": "{namespace}", "account": "{namespace}/{serviceAccount}", "größe": ""}
	mustRead(t, with([]any{guarded}, given), web, store.Reference{Key: "db"})
	mustRead(t, with([]any{guarded, further}, given), web, store.Reference{Key: "db"})
	// Others have credentials of the role by now, with those tags.
	_, err := with([]any{guarded}, nil).Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrDenied, "AssumeRole of "+guarded+" (auth.chain)", "sts:TagSession")
	other := maps.Clone(given)
	other["team"] = "other"
	_, err = with([]any{guarded}, other).Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrDenied, "check that its trust policy allows sts:TagSession with the tags of auth.tags to the role before it")
	// A value is never cut: who may read what may hang on it.
	_, err = with([]any{guarded}, map[string]any{"team": strings.Repeat("x", 250) + "{namespace}{serviceAccount}"}).Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrInvalid, "auth.tags.team: with the pod's identity in it the value is no tag of at most 256 characters")
	f.Add(awstest.Fault{Action: "sts:AssumeRole", Fail: awstest.Fail(400, "PackedPolicyTooLarge", "Packed size of session tags consumes 160% of allotted space.")})
	_, err = with([]any{guarded}, map[string]any{"team": "large"}).Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrInvalid, "160%", "give fewer or shorter tags in auth.tags")
}

func TestNamesAndTagsOfSessionsThatAWSWouldRefuse(t *testing.T) {
	f := newFixture(t)
	many := map[string]any{}
	for i := range 51 {
		many[fmt.Sprint("k", i)] = "v"
	}
	for name, test := range map[string]struct {
		name  string
		tags  map[string]any
		alone bool // there is no chain
		want  string
	}{
		"a name with a space":        {name: "a b", want: "auth.sessionName: must be 2 to 64 letters"},
		"a name of one letter":       {name: "a", want: "auth.sessionName: must be 2 to 64 letters"},
		"a name that is too long":    {name: strings.Repeat("a", 65), want: "auth.sessionName: must be 2 to 64 letters"},
		"a name with a slash":        {name: "a/{namespace}", want: "auth.sessionName: must be 2 to 64 letters"},
		"another place":              {name: "lanyard.{pod}", want: "{namespace} and {serviceAccount} stand for those of the pod"},
		"too many tags":              {tags: many, want: "auth.tags: has 51 tags; the maximum is 50"},
		"tags without a chain":       {tags: map[string]any{"a": "b"}, alone: true, want: "auth.tags: are sent for the roles of auth.chain, and there are none"},
		"a key that is empty":        {tags: map[string]any{"": "b"}, want: "auth.tags: a field's name is empty"},
		"a key that is too long":     {tags: map[string]any{strings.Repeat("ü", 129): "b"}, want: "a tag's key must be 1 to 128"},
		"a key with a comma":         {tags: map[string]any{"a,b": "c"}, want: "auth.tags.a,b: a tag's key must be 1 to 128"},
		"a key of AWS":               {tags: map[string]any{"AWS:a": "b"}, want: "auth.tags.AWS:a: keys that begin with aws: are AWS's own"},
		"a key in two cases":         {tags: map[string]any{"Team": "a", "team": "b"}, want: "auth.tags.team: is the key Team in other letters, which AWS takes for the same; remove one"},
		"a value that is too long":   {tags: map[string]any{"a": strings.Repeat("x", 257)}, want: "auth.tags.a: a tag's value must be at most 256"},
		"a value with a line break":  {tags: map[string]any{"a": "b\nc"}, want: "auth.tags.a: a tag's value must be"},
		"a value with another place": {tags: map[string]any{"a": "{podName}"}, want: "auth.tags.a: a tag's value must be"},
		"a value that is a list":     {tags: map[string]any{"a": []any{"b"}}, want: "auth.tags.a: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.typ.Open(f.settings(func(_, auth map[string]any) {
				if test.name != "" {
					auth["sessionName"] = test.name
				}
				if test.tags != nil {
					auth["tags"] = test.tags
				}
				if !test.alone {
					auth["chain"] = []any{"arn:aws:iam::111122223333:role/next"}
				}
			}))
			wantFailure(t, err, fault.ErrInvalid, test.want)
		})
	}
}

// Where the operator gives tags or a name, they are the operator's alone.
func TestNamesAndTagsThatTheOperatorPins(t *testing.T) {
	type fields = map[string]any
	for name, test := range map[string]struct {
		operator, class fields
		refused         string
	}{
		"tags of the class":          {fields{}, fields{"tags": fields{"a": "b"}, "sessionName": "web"}, ""},
		"the operator's own":         {fields{"tags": fields{"a": "b"}, "sessionName": "web"}, fields{"tags": fields{"a": "b"}, "sessionName": "web"}, ""},
		"another value":              {fields{"tags": fields{"a": "b"}}, fields{"tags": fields{"a": "c"}}, "auth.tags"},
		"a further tag":              {fields{"tags": fields{"a": "b"}}, fields{"tags": fields{"a": "b", "c": "d"}}, "auth.tags"},
		"another tag":                {fields{"tags": fields{"a": "b"}}, fields{"tags": fields{"c": "d"}}, "auth.tags"},
		"no tags":                    {fields{"tags": fields{"a": "b"}}, fields{"tags": fields{}}, "auth.tags"},
		"tags where none may be":     {fields{"tags": fields{}}, fields{"tags": fields{"c": "d"}}, "auth.tags"},
		"another name":               {fields{"sessionName": "web"}, fields{"sessionName": "shop"}, "auth.sessionName"},
		"a chain beside pinned tags": {fields{"tags": fields{"a": "b"}}, fields{"chain": []any{"x"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			merged := config.Store{Fields: fields{"auth": test.operator}}.Merge("secrets", aws.WorkloadSettings(), fields{"auth": test.class})
			refused := ""
			for _, problem := range merged.Refused {
				refused += problem.Field
			}
			if refused != test.refused {
				t.Errorf("refused is %q, want %q", refused, test.refused)
			}
		})
	}
}
