package conformance

import (
	"bytes"
	"fmt"
	"maps"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// answer is what came back of a mount request.
type answer struct {
	response *v1alpha1.MountResponse
	err      error
}

// failure is how a mount failed.
type failure struct {
	code codes.Code
	text string
	// field says that it was told in the response's error field, for which a
	// code does not exist, and not as a gRPC status.
	field bool
}

// failure says whether the mount failed, and how.
func (a answer) failure() (f failure, failed bool) {
	if a.err != nil {
		s := status.Convert(a.err)
		return failure{code: s.Code(), text: s.Message()}, true
	}
	if code := a.response.GetError().GetCode(); code != "" {
		return failure{text: code, field: true}, true
	}
	return failure{}, false
}

// open says whether the kubelet takes the mount for one that may still go on. It
// then leaves the target directory where it is, and a driver with rotation
// switched on answers its next try from that directory's age, without asking the
// provider: the pod starts with an empty volume. Other codes have the kubelet
// remove the directory and begin anew.
// isFinalError in https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/volume/csi/csi_client.go
func (f failure) open() bool {
	switch f.code {
	case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable, codes.ResourceExhausted, codes.Aborted:
		return true
	default:
		return false
	}
}

// whyFinal is why no failure may be open.
const whyFinal = "after Unavailable, ResourceExhausted, Aborted, Canceled and DeadlineExceeded the kubelet keeps the target directory, whose age the driver then takes for that of a mounted volume: the pod starts with an empty one"

// refused is the failure of a mount that had to fail.
func (a answer) refused(what string) (failure, error) {
	f, failed := a.failure()
	if !failed {
		return f, fmt.Errorf("%s was answered with success and %d files", what, len(a.response.GetFiles()))
	}
	return f, nil
}

// ok is the error of a mount that had to succeed.
func (a answer) ok() error {
	f, failed := a.failure()
	switch {
	case !failed:
		return nil
	case f.field:
		return fmt.Errorf("the mount failed with error.code %q", f.text)
	}
	return fmt.Errorf("the mount failed: %w", a.err)
}

// files are the contents by path; of duplicates the last counts, as for the
// driver.
func (a answer) files() map[string][]byte {
	files := map[string][]byte{}
	for _, file := range a.response.GetFiles() {
		files[file.GetPath()] = file.GetContents()
	}
	return files
}

// versions are the versions by id.
func (a answer) versions() map[string]string {
	versions := map[string]string{}
	for _, version := range a.response.GetObjectVersion() {
		versions[version.GetId()] = version.GetVersion()
	}
	return versions
}

// holds says what is wrong if the answer is not a success that has these files
// with these contents; it may have others.
func (a answer) holds(want map[string][]byte) error {
	if err := a.ok(); err != nil {
		return err
	}
	var w wrongs
	files := a.files()
	for path, contents := range want {
		got, there := files[path]
		switch {
		case !there:
			w.add("the file %q is missing among the answer's %d files", path, len(files))
		case len(got) == 0 && len(contents) > 0:
			w.add("the file %q is empty", path)
		case !bytes.Equal(got, contents):
			w.add("the file %q has %d bytes that are not the secret's %d", path, len(got), len(contents))
		}
	}
	return w.err()
}

// sameVersions says what is wrong if versions differ.
func sameVersions(before, after map[string]string) error {
	if !maps.Equal(before, after) {
		return fmt.Errorf("the versions were %v and are %v", before, after)
	}
	return nil
}

// expect says what is wrong with the answer to a request that err kept from
// being made, or that does not hold the files.
func expect(a answer, err error, want map[string][]byte) error {
	if err != nil {
		return err
	}
	return a.holds(want)
}
