package conformance

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
)

func mountPoints() []Point {
	return []Point{
		{
			ID: "M-01", Promise: "a mount answers with a file for each object, with exactly the secret's content",
			Source: writePayloads, Why: "the driver writes what the answer holds and nothing else",
			check: exactContents,
		},
		{
			ID: "M-02", Promise: "content that is not text arrives unchanged",
			Source: writePayloads, Why: "keystores and keys are bytes, and the protocol carries bytes", Optional: true,
			check: func(ctx context.Context, s *session) error {
				bytes := make([]byte, 256)
				for i := range bytes {
					bytes[i] = byte(i)
				}
				object, err := s.put(ctx, s.Accounts[0], "bytes", bytes)
				if err != nil {
					return err
				}
				a, err := s.mountNew(ctx, s.Accounts[0], object)
				return expect(a, err, map[string][]byte{object.Path: bytes})
			},
		},
		{
			ID: "M-03", Promise: "a mount answers with at least one object version, none without id or version",
			Source: mountContent, Why: "without one the driver fails the mount with “missing object versions”",
			check: func(ctx context.Context, s *session) error {
				a, err := s.mountTwo(ctx)
				if err != nil {
					return err
				}
				var w wrongs
				for _, v := range a.response.GetObjectVersion() {
					if v.GetId() == "" || v.GetVersion() == "" {
						w.add("an object version has id %q and version %q", v.GetId(), v.GetVersion())
					}
				}
				if len(a.response.GetObjectVersion()) == 0 {
					w.add("the answer to a mount of two objects has no object version")
				}
				return w.err()
			},
		},
		{
			ID: "M-04", Promise: "the ids of the object versions are unique",
			Source: protoObject, Why: "of two with one id the driver keeps the last, and rotation of the other goes unseen",
			check: func(ctx context.Context, s *session) error {
				a, err := s.mountTwo(ctx)
				if err != nil {
					return err
				}
				var w wrongs
				seen := map[string]bool{}
				for _, v := range a.response.GetObjectVersion() {
					if seen[v.GetId()] {
						w.add("two object versions have the id %q", v.GetId())
					}
					seen[v.GetId()] = true
				}
				return w.err()
			},
		},
		{
			ID: "M-05", Promise: "an object that the class no longer has is no longer in the answer, and the others are",
			Source: pathsToRemove, Why: "the answer is the whole volume: what is in it stays in running pods, what is not is deleted",
			check: func(ctx context.Context, s *session) error {
				owner := s.Accounts[0]
				kept, value, err := s.putNew(ctx, owner, "kept")
				if err != nil {
					return err
				}
				removed, _, err := s.putNew(ctx, owner, "removed")
				if err != nil {
					return err
				}
				pod := s.newPod(owner)
				a, err := s.mountPod(ctx, pod, owner, kept, removed)
				if err := expect(a, err, map[string][]byte{kept.Path: value}); err != nil {
					return err
				}
				a, err = s.mountPod(ctx, pod, owner, kept)
				if err := expect(a, err, map[string][]byte{kept.Path: value}); err != nil {
					return err
				}
				if _, there := a.files()[removed.Path]; there {
					return fmt.Errorf("the file %q is still in the answer", removed.Path)
				}
				return nil
			},
		},
		{
			ID: "M-06", Promise: "a mount is answered in full every time, though the request never says what the pod has",
			Source: mountObjects, Why: "the driver sends no current object versions, and deletes the files that an answer with changes alone would leave out",
			check: answeredInFull,
		},
		{
			ID: "M-07", Promise: "files for which the class gives no mode have the request's permission",
			Source: writeToDir, Why: "the driver sets the mode that the answer says, and without one nobody but root may read the file",
			check: defaultModes,
		},
		{
			ID: "M-08", Promise: "a file has the mode that the class gives it",
			Source: writeToDir, Why: "the driver sets the mode that the answer says, from 0 to 511", Optional: true,
			check: func(ctx context.Context, s *session) error {
				var w wrongs
				for i, mode := range []fs.FileMode{0o400, 0o440, 0o600, 0o755} {
					object, value, err := s.putNew(ctx, s.Accounts[0], "mode-"+strconv.Itoa(i))
					if err != nil {
						return err
					}
					object.Mode = mode
					a, err := s.mountNew(ctx, s.Accounts[0], object)
					w.addErr(expect(a, err, map[string][]byte{object.Path: value}))
					w.addErr(a.mode(object.Path, mode))
				}
				return w.err()
			},
		},
	}
}

// mountTwo mounts two new objects and answers with a success.
func (s *session) mountTwo(ctx context.Context) (answer, error) {
	owner := s.Accounts[0]
	first, _, err := s.putNew(ctx, owner, "first")
	if err != nil {
		return answer{}, err
	}
	second, _, err := s.putNew(ctx, owner, "second")
	if err != nil {
		return answer{}, err
	}
	a, err := s.mountNew(ctx, owner, first, second)
	if err != nil {
		return answer{}, err
	}
	return a, a.ok()
}

func exactContents(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	var objects []Object
	want := map[string][]byte{}
	for name, value := range map[string]string{
		"plain": "s3cret", "newline": "ends with a newline\n", "lines": "one\r\ntwo\n\nthree", "blank": " \t ",
		"unicode": "Zoë, 名前, 🔑", "json": `{"user":"a","password":"b\"c\\"}`, "yaml": "a: {b: [c]}\n", "template": "{{ .Value }} ${HOME} $(id) %s",
	} {
		object, err := s.put(ctx, owner, name, []byte(value))
		if err != nil {
			return err
		}
		objects = append(objects, object)
		want[object.Path] = []byte(value)
	}
	a, err := s.mountNew(ctx, owner, objects...)
	return expect(a, err, want)
}

func answeredInFull(ctx context.Context, s *session) error {
	const times = 5
	owner := s.Accounts[0]
	first, firstValue, err := s.putNew(ctx, owner, "first")
	if err != nil {
		return err
	}
	second, secondValue, err := s.putNew(ctx, owner, "second")
	if err != nil {
		return err
	}
	pod := s.newPod(owner)
	want := map[string][]byte{first.Path: firstValue, second.Path: secondValue}
	for i := range times {
		a, err := s.mountPod(ctx, pod, owner, first, second)
		if err := expect(a, err, want); err != nil {
			return fmt.Errorf("mount %d of the same pod: %w", i+1, err)
		}
	}
	return nil
}

func defaultModes(ctx context.Context, s *session) error {
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "default")
	if err != nil {
		return err
	}
	var w wrongs
	for _, mode := range []fs.FileMode{0o644, 0o440, 0o400} {
		c, err := s.newCall(ctx, s.newPod(owner), owner, object)
		if err != nil {
			return err
		}
		c.permission = strconv.Itoa(int(mode)) // decimal, as json.Marshal writes a FileMode
		a := s.mount(ctx, c.message())
		w.addErr(expect(a, nil, map[string][]byte{object.Path: value}))
		w.addErr(a.mode(object.Path, mode))
	}
	return w.err()
}

// mode says what is wrong if the file is in the answer and has another mode.
func (a answer) mode(path string, want fs.FileMode) error {
	for _, file := range a.response.GetFiles() {
		if file.GetPath() == path && file.GetMode() != int32(want) { //nolint:gosec // at most 0777
			return fmt.Errorf("the file %q has mode %#o, want %#o", path, file.GetMode(), want)
		}
	}
	return nil
}
