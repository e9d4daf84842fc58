package conformance

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
)

func garbagePoints() []Point {
	refuses := func(change func(*message)) func(context.Context, *session) error {
		return func(ctx context.Context, s *session) error { return s.survives(ctx, true, change) }
	}
	survives := func(change func(*message)) func(context.Context, *session) error {
		return func(ctx context.Context, s *session) error { return s.survives(ctx, false, change) }
	}
	return []Point{
		{
			ID: "G-01", Promise: "attributes that are not a JSON object of strings are refused, and the provider goes on",
			Source: nodePublish, Why: "whoever may write to the socket may send anything, and one bad request must not end the mounts of a node",
			check: func(ctx context.Context, s *session) error {
				var w wrongs
				for _, text := range []string{"", "objects: none", "{", "[]", "null", `"text"`, `{"objects": 1}`, `{"objects": {}}`, "\x00"} {
					w.addErr(s.survives(ctx, true, func(m *message) { m.Attributes = text }))
				}
				return w.err()
			},
		},
		{
			ID: "G-02", Promise: "a permission that is no number is refused, and the provider goes on",
			Source: nodePublish, Why: "guessing a mode may open files to everyone",
			check: refuses(func(m *message) { m.Permission = "rw-r--r--" }),
		},
		{
			ID: "G-03", Promise: "secrets that are not JSON do not end the provider",
			Source: nodePublish, Why: "one bad request must not end the mounts of a node",
			check: survives(func(m *message) { m.Secrets = `{"user": ` }),
		},
		{
			ID: "G-04", Promise: "an empty request is refused, and the provider goes on",
			Source: mountObjects, Why: "one bad request must not end the mounts of a node",
			check: refuses(func(m *message) { proto.Reset(m) }),
		},
		{
			ID: "G-05", Promise: "a request of 3 MiB does not end the provider",
			Source: nodePublish, Why: "volume attributes are the pod author's, and one pod must not end the mounts of a node",
			check: survives(func(m *message) {
				m.Attributes = strings.TrimSuffix(m.Attributes, "}") + `,"conformance":"` + strings.Repeat("x", 3<<20) + `"}`
			}),
		},
	}
}

// survives sends a changed request, which must be refused or may be, and then
// one that must be answered.
func (s *session) survives(ctx context.Context, refuse bool, change func(*message)) error {
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, fmt.Sprintf("survives-%d", s.pods.Add(1)))
	if err != nil {
		return err
	}
	c, err := s.newCall(ctx, s.newPod(owner), owner, object)
	if err != nil {
		return err
	}
	var w wrongs
	m := c.message()
	change(m)
	a := s.mount(ctx, m)
	if refuse {
		_, err := a.refused("the request with attributes " + short(m.GetAttributes()) + " and permission " + short(m.GetPermission()))
		w.addErr(err)
	}
	if err := s.mount(ctx, c.message()).holds(map[string][]byte{object.Path: value}); err != nil {
		w.add("afterwards: %w", err)
	}
	return w.err()
}
