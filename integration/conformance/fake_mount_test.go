package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

func (f *fake) Mount(ctx context.Context, m *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	f.mu.Lock()
	f.inFlight++
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.inFlight--; f.mu.Unlock() }()

	if f.defect == "no time for Version" {
		time.Sleep(5 * time.Millisecond) // so that some mount is in flight whenever it is asked
	}
	if f.defect == "stumbles over garbage" && f.forget("garbage") > 0 {
		return nil, status.Error(codes.Internal, "still broken")
	}
	r, err := f.parse(m)
	if err != nil {
		f.remember("garbage")
		if f.defect == "garbage is an empty class" && strings.Contains(err.Error(), "attributes") {
			return &v1alpha1.MountResponse{ObjectVersion: []*v1alpha1.ObjectVersion{{Id: "a", Version: "1"}}}, nil
		}
		return nil, err
	}
	if f.defect == "a broken mount breaks the next" && f.forget("broken "+r.podUID) > 0 {
		return nil, status.Error(codes.Internal, "context canceled")
	}
	if f.defect == "not ready after the start" && f.restartedJustNow() {
		return nil, status.Error(codes.Internal, "not ready")
	}
	response, err := f.volume(ctx, r)
	if err != nil {
		return f.failed(r, err)
	}
	if ctx.Err() != nil {
		f.remember("broken " + r.podUID)
	}
	return f.spoil(m, r, response)
}

// volume reads the objects.
func (f *fake) volume(ctx context.Context, r fakeRequest) (*v1alpha1.MountResponse, error) {
	response := &v1alpha1.MountResponse{}
	size := 0
	for _, object := range r.objects {
		if !clean(object.Path) && f.defect != "any path" {
			return nil, status.Errorf(codes.InvalidArgument, "%q cannot be a path in a volume", object.Path)
		}
		value, err := f.read(ctx, r.account, object)
		if errors.Is(err, errNotFound) && f.defect == "missing is empty" {
			err = nil
		}
		if err != nil {
			return nil, err
		}
		mode := r.permission
		if f.defect == "permission ignored" {
			mode = 0o644
		}
		if object.Mode != 0 && f.defect != "modes ignored" {
			mode = int32(object.Mode)
		}
		response.Files = append(response.Files, &v1alpha1.File{Path: object.Path, Mode: mode, Contents: value})
		response.ObjectVersion = append(response.ObjectVersion, &v1alpha1.ObjectVersion{Id: object.Owner + " " + object.Name, Version: f.version(value)})
		size += len(value)
	}
	if size > 4<<20-64<<10 && f.defect != "no bound on answers" {
		return nil, status.Error(f.code("too large is ResourceExhausted", codes.ResourceExhausted, codes.OutOfRange), "the volume is too large for the driver")
	}
	return response, nil
}

var fakeSeed = maphash.MakeSeed()

// version is different for different values.
func (f *fake) version(value []byte) string {
	if f.defect == "one version for ever" {
		return "1"
	}
	if f.defect == "hash as version" {
		return fmt.Sprintf("%x", sha256.Sum256(value))
	}
	if f.defect == "a version for each mount" {
		return hex.EncodeToString(randomBytes(8))
	}
	return fmt.Sprint(maphash.Bytes(fakeSeed, value))
}

// read takes a value from the cache, or from the store once for all who ask.
func (f *fake) read(ctx context.Context, account Account, object fakeObject) ([]byte, error) {
	key := account.String() + " for " + object.Owner + " " + object.Name
	if f.defect == "cache without identity" {
		key = object.Name
	}
	f.mu.Lock()
	if f.defect == "refusals are remembered" && f.seen["refused "+object.Name] > 0 {
		f.mu.Unlock()
		return nil, status.Errorf(codes.PermissionDenied, "%s: permission denied", object.Name)
	}
	if hit, ok := f.cache[key]; ok && f.defect != "no cache" && (f.clock.now().Sub(hit.read) < fakeRefresh || f.defect == "no rotation") {
		f.mu.Unlock()
		return hit.value, nil
	}
	flight, begun := f.flights[key]
	if !begun {
		flight = &fakeFlight{done: make(chan struct{})}
		f.flights[key] = flight
		f.mu.Unlock()
		flight.value, flight.err = f.ask(ctx, account, object)
		f.mu.Lock()
		delete(f.flights, key)
		if flight.err == nil {
			f.cache[key] = cached{flight.value, f.clock.now()}
		}
		close(flight.done)
	}
	f.mu.Unlock()
	<-flight.done
	return flight.value, flight.err
}

// ask reads the store, which lets everyone read only their own.
func (f *fake) ask(ctx context.Context, account Account, object fakeObject) ([]byte, error) {
	if strings.Contains(object.Name, "-c-0") { // the points on calls want a slow store
		read := fakeRead
		first := f.defect == "reads belong to the first" && strings.Contains(object.Name, "-c-03-")
		if first || f.defect == "a broken mount breaks the next" {
			read = 2 * longestBreak // so that the call is broken off before
		}
		err := pause(ctx, read)
		if err != nil && first {
			return nil, status.FromContextError(err).Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.failing || f.defect == "outage without end" && f.seen["outage "+object.Name] > 0 {
		f.seen["outage "+object.Name]++
		return nil, status.Errorf(f.code("an outage is Unavailable", codes.Unavailable, codes.Internal), "%s: the store does not answer", object.Name)
	}
	if f.defect == "a failure is remembered" && f.seen["missing "+object.Name] > 0 {
		return nil, errNotFound
	}
	if account.String() != object.Owner {
		f.seen["refused "+object.Name]++
		return nil, status.Errorf(codes.PermissionDenied, "%s: permission denied", object.Name)
	}
	value, ok := f.secrets[account.String()+" "+object.Name]
	if !ok {
		f.seen["missing "+object.Name]++
		return nil, errNotFound
	}
	return value, nil
}

// code is the one that the kubelet takes as final, or with the defect the other.
func (f *fake) code(defect string, open, final codes.Code) codes.Code {
	if f.defect == defect {
		return open
	}
	return final
}

// failed tells a failure as the defect wants.
func (f *fake) failed(r fakeRequest, err error) (*v1alpha1.MountResponse, error) {
	if status.Code(err) == codes.Internal && f.defect == "an outage is empty" {
		return &v1alpha1.MountResponse{ObjectVersion: []*v1alpha1.ObjectVersion{{Id: "a", Version: "1"}}}, nil
	}
	if !errors.Is(err, errNotFound) {
		return nil, err
	}
	text := fmt.Sprintf("not found: %s", r.objects[len(r.objects)-1].Name) // where the suite puts it
	switch f.defect {
	case "error.code":
		return &v1alpha1.MountResponse{Error: &v1alpha1.Error{Code: text}}, nil
	case "value in the error":
		f.mu.Lock()
		defer f.mu.Unlock()
		return nil, status.Errorf(codes.NotFound, "%s, among %q", text, f.secrets[r.account.String()+" "+r.objects[0].Name])
	case "error without the object":
		return nil, status.Error(codes.NotFound, "not found")
	case "missing is Unavailable":
		return nil, status.Error(codes.Unavailable, text)
	}
	return nil, status.Error(codes.NotFound, text)
}

// spoil changes an answer as the defect wants.
func (f *fake) spoil(m *v1alpha1.MountRequest, r fakeRequest, response *v1alpha1.MountResponse) (*v1alpha1.MountResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.defect {
	case "no versions":
		response.ObjectVersion = nil
	case "ids that are not unique":
		for _, version := range response.GetObjectVersion() {
			version.Id = "secret"
		}
	case "absolute path":
		response.Files = append(response.Files, &v1alpha1.File{Path: "/etc/secret", Mode: 0o644})
	case "path twice":
		response.Files = append(response.Files, response.GetFiles()[0])
	case "paths in ASCII":
		for _, file := range response.GetFiles() {
			file.Path = strings.Map(func(r rune) rune {
				if r > '~' {
					return '_'
				}
				return r
			}, file.GetPath())
		}
	case "directories flattened":
		for _, file := range response.GetFiles() {
			file.Path = strings.ReplaceAll(file.GetPath(), "/", "-")
		}
	case "blanks trimmed":
		for _, file := range response.GetFiles() {
			file.Contents = bytes.TrimSpace(file.GetContents())
		}
	case "text alone":
		for _, file := range response.GetFiles() {
			file.Contents = bytes.ToValidUTF8(file.GetContents(), []byte("?"))
		}
	case "at most 100 objects":
		response.Files = response.GetFiles()[:min(100, len(response.GetFiles()))]
	case "padded answers":
		response.Files = append(response.Files, &v1alpha1.File{Path: "padding", Contents: make([]byte, 7<<19)})
		if len(response.GetFiles()) < 8 { // a small volume
			response.Files = response.Files[:len(response.Files)-1]
		}
	case "removed objects stay":
		for _, file := range f.last[r.podUID] {
			if !has(response.GetFiles(), file.GetPath()) {
				response.Files = append(response.Files, file)
			}
		}
		f.last[r.podUID] = response.GetFiles()
	case "only what changed":
		f.seen[r.podUID]++
		var changed []*v1alpha1.File
		for _, file := range response.GetFiles() {
			if f.seen[r.podUID] < 5 || !f.sameAsBefore(r.podUID, file) {
				changed = append(changed, file)
			}
		}
		f.last[r.podUID] = response.GetFiles()
		response.Files = changed
	case "writes files itself":
		path := filepath.Join(m.GetTargetPath(), "secret")
		if err := errors.Join(os.MkdirAll(m.GetTargetPath(), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			return nil, err
		}
	}
	return response, nil
}

func has(files []*v1alpha1.File, path string) bool {
	for _, file := range files {
		if file.GetPath() == path {
			return true
		}
	}
	return false
}

func (f *fake) sameAsBefore(pod string, file *v1alpha1.File) bool {
	for _, before := range f.last[pod] {
		if before.GetPath() == file.GetPath() && bytes.Equal(before.GetContents(), file.GetContents()) {
			return true
		}
	}
	return false
}

func (f *fake) remember(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[what]++
}

// forget says how often something was remembered, and forgets it.
func (f *fake) forget(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.seen[what]
	delete(f.seen, what)
	return n
}

// restartedJustNow is so for the first mounts after a start but the very first.
func (f *fake) restartedJustNow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[fmt.Sprint("mounts since start ", f.started)]++
	return f.started > 1 && f.seen[fmt.Sprint("mounts since start ", f.started)] <= 2
}
