package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

func versionPoints() []Point {
	return []Point{
		{
			ID: "V-01", Promise: "Version answers with protocol, runtime name and runtime version",
			Source: protoVersion, Why: "it is all that tells an operator which provider, in which version, serves a node",
			check: func(ctx context.Context, s *session) error {
				got, err := s.callVersion(ctx)
				if err != nil {
					return err
				}
				s.version = got.GetRuntimeVersion()
				var w wrongs
				if got.GetVersion() != "v1alpha1" {
					w.add("version is %q, and the protocol is v1alpha1", got.GetVersion())
				}
				if got.GetRuntimeName() == "" {
					w.add("runtime_name is empty")
				}
				if got.GetRuntimeVersion() == "" {
					w.add("runtime_version is empty")
				}
				return w.err()
			},
		},
		{
			ID: "V-02", Promise: "the runtime version is a semantic version",
			Source: protoVersion, Why: "the protocol demands it, and a driver that compares versions may refuse another",
			check: func(ctx context.Context, s *session) error {
				got, err := s.callVersion(ctx)
				if err == nil && !semantic.MatchString(got.GetRuntimeVersion()) {
					err = fmt.Errorf("runtime_version is %q, which is no semantic version such as 1.2.3 or v1.2.3-rc.1", got.GetRuntimeVersion())
				}
				return err
			},
		},
		{
			ID: "V-03", Promise: "Version answers within the health check's limit of 5 s while mounts are in flight",
			Source: healthCheck, Why: "the driver's health check calls it at any time and reports a provider that is slow as failing",
			check: versionDuringMounts,
		},
	}
}

// semantic is a version of https://semver.org/ with or without the v that Go
// and Kubernetes write before it.
var semantic = regexp.MustCompile(`^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

func (s *session) callVersion(ctx context.Context) (*v1alpha1.VersionResponse, error) {
	const limit = 5 * time.Second // the driver's, in HealthCheck
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	got, err := client.Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"})
	if err != nil {
		return nil, fmt.Errorf("Version failed: %w", err)
	}
	return got, nil
}

func versionDuringMounts(ctx context.Context, s *session) error {
	const workers, calls = 8, 20
	owner := s.Accounts[0]
	object, value, err := s.putNew(ctx, owner, "busy")
	if err != nil {
		return err
	}
	var mounts sync.WaitGroup
	failed := make([]error, workers)
	stop := make(chan struct{})
	for i := range workers {
		mounts.Go(func() {
			for failed[i] == nil {
				select {
				case <-stop:
					return
				default:
				}
				a, err := s.mountNew(ctx, owner, object)
				failed[i] = expect(a, err, map[string][]byte{object.Path: value})
			}
		})
	}
	var w wrongs
	for range calls {
		_, err := s.callVersion(ctx)
		w.addErr(err)
	}
	close(stop)
	mounts.Wait()
	w.addErr(errors.Join(failed...))
	return w.err()
}
