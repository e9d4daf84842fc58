package gcp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/render/rendertest"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

const (
	app      = project + "/locations/global/parameters/app"
	regional = project + "/locations/europe-west3/parameters/app"
	appText  = `{"user": "web", "password": "__REF__("//secretmanager.googleapis.com/projects/shop/secrets/db/versions/latest")"}`
)

func TestParameterManagerMeetsTheStoreContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Fixture {
		c := newCloud(t)
		stranger := c.pod(t, "stranger", pool)
		parent := project + "/locations/global/parameters/"
		put := map[string]int{}
		return &storetest.Fixture{
			Type:     gcp.NewType(gcp.Options{}),
			Settings: c.settings(func(fields, _ map[string]any) { fields["retries"] = 1 }),
			Identity: c.web,
			Stranger: &stranger,
			Put: func(_ *testing.T, name, value string) store.Reference {
				// A version never changes.
				put[name]++
				version := fmt.Sprintf("v%d", put[name])
				c.PutParameter(parent+name+"/versions/"+version, []byte(value))
				return store.Reference{Key: parent + name, Version: version}
			},
			Answers: &storetest.Answers{
				Settings: c.settings(func(fields, _ map[string]any) { fields["retries"] = 0 }),
				Rewrite:  c.Rewrite, Throttled: c.Throttling("RenderParameterVersion", "token"),
			},
			Missing: store.Reference{Key: parent + "missing", Version: "v1"},
			Pinned:  []store.Reference{{Key: parent + "app", Version: "v1", Options: map[string]any{"raw": true}}},
			Invalid: map[string]store.Reference{
				"no version":          {Key: parent + "app"},
				"no location":         {Key: project + "/parameters/app", Version: "v1"},
				"version with a path": {Key: parent + "app", Version: "v1/../v2"},
				"unknown option":      {Key: parent + "app", Version: "v1", Options: map[string]any{"rwa": true}},
				"raw in words":        {Key: parent + "app", Version: "v1", Options: map[string]any{"raw": "yes"}},
				"raw of a secret":     {Key: db, Options: map[string]any{"raw": true}},
				"a name that is none": {Key: parent + "a b", Version: "v1"},
			},
			InvalidSettings: map[string]store.Settings{
				"parameters.endpoint": c.settings(func(fields, _ map[string]any) {
					fields["parameters"] = map[string]any{"endpoint": "parametermanager"}
				}),
				"parameters.regionalEndpoint": c.settings(func(fields, _ map[string]any) {
					fields["parameters"] = map[string]any{"regionalEndpoint": "https://u:p@x"}
				}),
			},
			Fail: func(*testing.T) { c.Stop() },
		}
	})
}

func TestParametersAreRenderedUnlessTheyAreWantedRaw(t *testing.T) {
	c := newCloud(t)
	s := c.open(t, gcp.Options{}, unchanged)
	c.Put(db, []byte("hunter1"))
	c.PutParameter(app+"/versions/v1", []byte(appText))
	c.PutParameter(regional+"/versions/007", []byte("plain"))
	ref := store.Reference{Key: app, Version: "v1"}
	wantValue(t, s, c.web, ref, `{"user": "web", "password": "hunter1"}`)
	value := wantValue(t, s, c.web, store.Reference{Key: app, Version: "v1", Options: map[string]any{"raw": true}}, appText)
	if want := "projects/" + gcptest.Number("shop") + "/locations/global/parameters/app/versions/v1"; value.Version != want {
		t.Errorf("version %s, want %s", value.Version, want)
	}
	wantValue(t, s, c.web, store.Reference{Key: regional, Version: "007"}, "plain")
	c.Put(db, []byte("hunter2"))
	wantValue(t, s, c.web, ref, `{"user": "web", "password": "hunter2"}`)
}

func TestWhatParameterManagerRefusesIsExplained(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*cloud)
		raw     bool
		kind    error
		says    []string
	}{
		"not there": {func(*cloud) {}, false, fault.ErrNotFound, []string{app + "/versions/v1: there is no such parameter or version"}},
		"disabled": {func(c *cloud) {
			c.PutParameter(app+"/versions/v1", []byte(appText))
			c.DisableParameter(app + "/versions/v1")
		}, false, fault.ErrDenied, []string{"cannot render the version: it must be enabled"}},
		"disabled, raw": {func(c *cloud) {
			c.PutParameter(app+"/versions/v1", []byte(appText))
			c.DisableParameter(app + "/versions/v1")
		}, true, fault.ErrNotFound, []string{"the version is disabled"}},
		"a secret lacks": {func(c *cloud) { c.PutParameter(app+"/versions/v1", []byte(appText)) }, false, fault.ErrDenied, []string{"and so must the versions of secrets that it refers to", "not found or has no versions"}},
		"an empty answer": {func(c *cloud) {
			c.PutParameter(app+"/versions/v1", []byte("a"))
			c.Add(gcptest.Fault{Method: "RenderParameterVersion", Empty: true})
		}, false, fault.ErrUnavailable, []string{"without a payload"}},
		"another's": {func(c *cloud) {
			c.PutParameter(app+"/versions/v1", []byte("a"))
			c.Add(gcptest.Fault{Method: "RenderParameterVersion", Other: true})
		}, false, fault.ErrUnavailable, []string{"answered with projects/", "other-app"}},
		"another's, raw": {func(c *cloud) {
			c.PutParameter(app+"/versions/v1", []byte("a"))
			c.Add(gcptest.Fault{Method: "GetParameterVersion", Other: true})
		}, true, fault.ErrUnavailable, []string{"answered with projects/", "other-app"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			s := c.open(t, gcp.Options{}, func(fields, _ map[string]any) { fields["retries"] = 0 })
			test.prepare(c)
			ref := store.Reference{Key: app, Version: "v1"}
			if test.raw {
				ref.Options = map[string]any{"raw": true}
			}
			_, err := read(t, s, c.web, ref)
			wantError(t, err, test.kind, test.says...)
		})
	}
	t.Run("too many fields", func(t *testing.T) {
		c := newCloud(t)
		s := c.open(t, gcp.Options{}, unchanged)
		c.PutParameter(app+"/versions/v1", []byte(strings.Repeat("-\n", 1<<19)))
		ref := store.Reference{Key: app, Version: "v1", Options: map[string]any{"format": "yaml"}}
		_, err := read(t, s, c.web, ref)
		wantError(t, err, fault.ErrInvalid, "too many fields, or nested too deeply")
		if used := rendertest.Allocated(func() { _, err = read(t, s, c.web, ref) }); used > 48<<20 { // the double's own included
			t.Errorf("%d MiB were allocated for what is refused: %v", used>>20, err)
		}
	})
	c := newCloud(t)
	stranger := c.pod(t, "stranger", pool)
	s := c.open(t, gcp.Options{}, unchanged)
	c.PutParameter(app+"/versions/v1", []byte("a"))
	_, err := read(t, s, stranger, store.Reference{Key: app, Version: "v1"})
	wantError(t, err, fault.ErrDenied, "grant it roles/parametermanager.parameterAccessor on the parameter or its project")
}
