package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func requestPoints() []Point {
	return []Point{
		{
			ID: "A-01", Promise: "the target path need not exist, and the provider neither makes it nor writes into it",
			Source: writePayloads, Why: "the driver writes; a provider that writes too leaves plain files beside the driver's, and needs rights on the node for it",
			check: targetUntouched,
		},
		{
			ID: "A-02", Promise: "secrets may be null, an empty object, or nothing",
			Source: nodePublish, Why: "the driver sends the JSON of no nodePublishSecretRef at all, which is null; other callers send {}",
			needs: []func(*Provider) string{noSecrets},
			check: func(ctx context.Context, s *session) error {
				owner := s.Accounts[0]
				object, value, err := s.putNew(ctx, owner, "no-secrets")
				if err != nil {
					return err
				}
				var w wrongs
				for _, text := range []string{"null", "{}", ""} {
					c, err := s.newCall(ctx, s.newPod(owner), owner, object)
					if err != nil {
						return err
					}
					message := c.message()
					message.Secrets = text
					if err := s.mount(ctx, message).holds(map[string][]byte{object.Path: value}); err != nil {
						w.add("secrets %q: %w", text, err)
					}
				}
				return w.err()
			},
		},
		{
			ID: "A-03", Promise: "keys of the kubelet and the driver that the provider does not know do not disturb it",
			Source: nodePublish, Why: "each release of Kubernetes and of the driver may add attributes to those of the class, and pods mount through an upgrade",
			check: func(ctx context.Context, s *session) error {
				owner := s.Accounts[0]
				object, value, err := s.putNew(ctx, owner, "known")
				if err != nil {
					return err
				}
				c, err := s.newCall(ctx, s.newPod(owner), owner, object)
				if err != nil {
					return err
				}
				c.attributes[keyPrefix+"pod.labels"] = `{"app":"web"}`
				c.attributes[keyPrefix+"from.the.future"] = "[1, 2"
				c.attributes[keyPrefix+"empty"] = ""
				return expect(s.mount(ctx, c.message()), nil, map[string][]byte{object.Path: value})
			},
		},
		{
			ID: "A-04", Promise: "tokens that arrive in secrets are used as those in the attributes are",
			Source: tokensOf, Why: "a CSIDriver with serviceAccountTokenInSecrets, of Kubernetes 1.35 and later, has the kubelet pass them there", Optional: true,
			needs: []func(*Provider) string{tokens},
			check: tokensAmongSecrets,
		},
		{
			ID: "A-05", Promise: "the sync controller is answered: {} as secrets, a dummy target path, and the controller's own pod",
			Source: protoRequest, Why: "secrets-store-sync-controller speaks the same protocol without a pod that mounts", Optional: true,
			check: syncController,
		},
	}
}

func targetUntouched(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "target")
	if err != nil {
		return err
	}
	want := map[string][]byte{object.Path: value}
	var w wrongs

	missing, err := s.newCall(ctx, s.newPod(owner), owner, object)
	if err != nil {
		return err
	}
	w.addErr(expect(s.mount(ctx, missing.message()), nil, want))
	if _, err := os.Lstat(missing.target); !errors.Is(err, fs.ErrNotExist) {
		w.add("the target path did not exist, and does after the mount")
	}

	empty, err := s.newCall(ctx, s.newPod(owner), owner, object)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(empty.target, 0o750); err != nil {
		return err
	}
	w.addErr(expect(s.mount(ctx, empty.message()), nil, want))
	if left, err := os.ReadDir(empty.target); err != nil || len(left) > 0 {
		w.add("the target path was empty, and holds %v after the mount (%v)", left, err)
	}
	return w.err()
}

func tokensAmongSecrets(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "tokens")
	if err != nil {
		return err
	}
	c, err := s.newCall(ctx, s.newPod(owner), owner, object)
	if err != nil {
		return err
	}
	if c.secrets == nil {
		c.secrets = map[string]string{}
	}
	c.secrets[keyTokens] = c.attributes[keyTokens]
	var w wrongs
	// The driver copies them into the attributes as well.
	w.addErr(expect(s.mount(ctx, c.message()), nil, map[string][]byte{object.Path: value}))
	delete(c.attributes, keyTokens)
	w.addErr(expect(s.mount(ctx, c.message()), nil, map[string][]byte{object.Path: value}))
	return w.err()
}

func syncController(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "synced")
	if err != nil {
		return err
	}
	controller := Pod{Account: owner, Name: "secrets-store-sync-controller", UID: "uid-of-the-controller"}
	c, err := s.newCall(ctx, controller, owner, object)
	if err != nil {
		return err
	}
	if c.secrets == nil {
		c.secrets = map[string]string{}
	}
	c.target = filepath.Join(s.scratch, "dummy", time.Now().Format("150405"))
	a := s.mount(ctx, c.message())
	if err := a.holds(map[string][]byte{object.Path: value}); err != nil {
		return err
	}
	if len(a.response.GetObjectVersion()) == 0 {
		return fmt.Errorf("the answer has %d files and no object version", len(a.response.GetFiles()))
	}
	return nil
}
