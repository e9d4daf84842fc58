package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

func errorPoints() []Point {
	return []Point{
		{
			ID: "E-01", Promise: "a missing secret fails the mount, and is never an empty file or one left out",
			Source: mountContent, Why: "the driver takes any answer without an error for the whole volume, and the application starts with an empty password",
			check: func(ctx context.Context, s *session) error {
				a, _, err := s.missing(ctx)
				if err != nil {
					return err
				}
				_, err = a.refused("a class with a missing secret")
				return err
			},
		},
		{
			ID: "E-02", Promise: "a failure is a gRPC status, never the answer's error field",
			Source: mountContent, Why: "the driver drops everything but error.code, shows it as the whole message and makes it a metric label",
			check: func(ctx context.Context, s *session) error {
				a, _, err := s.missing(ctx)
				if f, _ := a.failure(); f.field {
					err = fmt.Errorf("the mount failed with error.code %q", f.text)
				}
				return err
			},
		},
		{
			ID: "E-03", Promise: "the error's text names the object that failed",
			Source: nodePublish, Why: "it is what the pod's event shows to whoever has to repair the class",
			check: func(ctx context.Context, s *session) error {
				a, object, err := s.missing(ctx)
				if f, failed := a.failure(); err == nil && failed && !strings.Contains(f.text, object.Name) && !strings.Contains(f.text, object.Path) {
					err = fmt.Errorf("the text names neither %s nor %s: %q", object.Name, object.Path, f.text)
				}
				return err
			},
		},
		{
			ID: "E-04", Promise: "a missing secret fails with a code that the kubelet takes as final",
			Source: nodePublish, Why: whyFinal,
			check: func(ctx context.Context, s *session) error {
				a, _, err := s.missing(ctx)
				if f, _ := a.failure(); f.open() {
					err = fmt.Errorf("the code is %s: %q", f.code, f.text)
				}
				return err
			},
		},
		{
			ID: "E-05", Promise: "no error's text holds a value, a token or a credential",
			Source: nodePublish, Why: "the driver logs it and the kubelet writes it into an event, which many people may read",
			check: errorsTellNothing,
		},
		{
			ID: "E-06", Promise: "when the missing secret comes to be, the same pod mounts",
			Source: nodePublish, Why: "the kubelet tries a failed mount again until it succeeds; a failure that is remembered keeps the pod from starting",
			check: missingComesToBe,
		},
	}
}

// missing mounts an object whose secret there is not, beside one that there is.
// That this fails is E-01; the other points judge how, if it does.
func (s *session) missing(ctx context.Context) (answer, Object, error) {
	owner := s.Accounts[0]
	present, _, err := s.putNew(ctx, owner, "present")
	if err != nil {
		return answer{}, Object{}, err
	}
	absent := Object{Name: s.secretName("absent"), Path: "absent.txt"}
	a, err := s.mountNew(ctx, owner, present, absent)
	return a, absent, err
}

// errorsTellNothing makes mounts fail in many ways, all of whose requests carry
// what must not be told.
func errorsTellNothing(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	present, value, err := s.putNew(ctx, owner, "present")
	if err != nil {
		return err
	}
	absent := Object{Name: s.secretName("absent"), Path: "absent.txt"}
	const planted = "planted-token-5d0f3c2a"
	const credential = "planted-credential-9b7e11"
	hidden := map[string]string{"the value of another object": string(value), "a token": planted, "a credential": credential}
	future := time.Now().Add(time.Hour)

	var w wrongs
	for _, scenario := range []struct {
		name   string
		change func(*call)
		raw    func(*message)
	}{
		{"a missing secret", func(*call) {}, nil},
		{"tokens that no store accepts", func(c *call) {
			c.attributes[keyTokens] = jsonOf(map[string]Token{"": {planted, future}, "vault": {planted, future}, "sts.amazonaws.com": {planted, future}})
		}, nil},
		{"tokens that are not JSON", func(c *call) { c.attributes[keyTokens] = `{"vault": {"token": ` + planted }, nil},
		{"credentials that are not JSON", nil, func(m *message) { m.Secrets = `{"password": ` + credential }},
		{"attributes that are not JSON", nil, func(m *message) { m.Attributes = m.Attributes[:len(m.Attributes)-1] + "," + planted }},
		{"a permission that is no number", nil, func(m *message) { m.Permission = planted }},
	} {
		c, err := s.newCall(ctx, s.newPod(owner), owner, present, absent)
		if err != nil {
			return err
		}
		for audience, token := range tokenTexts(c.attributes[keyTokens]) {
			hidden["the pod's token for "+audience] = token
		}
		c.secrets = withCredential(c.secrets, credential)
		if scenario.change != nil {
			scenario.change(c)
		}
		m := c.message()
		if scenario.raw != nil {
			scenario.raw(m)
		}
		f, failed := s.mount(ctx, m).failure()
		if !failed {
			continue
		}
		for what, text := range hidden {
			if shows(f.text, text) {
				w.add("%s: the error's text holds %s", scenario.name, what)
			}
		}
	}
	return w.err()
}

func missingComesToBe(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	pod := s.newPod(owner)
	object := Object{Name: s.secretName("late"), Path: "late.txt"}
	if _, err := s.mountPod(ctx, pod, owner, object); err != nil {
		return err
	}
	object, value, err := s.putNew(ctx, owner, "late")
	if err != nil {
		return err
	}
	var last error
	err = s.eventually(ctx, "the secret that was missing", func() (bool, error) {
		a, err := s.mountPod(ctx, pod, owner, object)
		if err != nil {
			return false, err
		}
		last = a.holds(map[string][]byte{object.Path: value})
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}
