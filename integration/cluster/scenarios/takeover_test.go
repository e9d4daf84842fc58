package scenarios

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// originalsDir is where the four other providers open their sockets by default.
const originalsDir = "/var/run/secrets-store-csi-providers"

// Pods that other providers have mounted are Lanyard's with the first poll after it has
// taken the sockets over, in the directory of the originals: no pod and no driver is
// restarted, and no file is missing on the way or lost.
func TestOriginalsAreTakenOver(t *testing.T) {
	s := alone(t)
	ctx := t.Context()
	restartDriver := func(ctx context.Context) error {
		if err := s.StopDriver(ctx); err != nil {
			return err
		}
		return s.StartDriver(ctx)
	}
	s.atEnd(restartDriver) // which keeps to the sockets that it has found
	c := s.startClouds()
	s.requestCloudTokens()
	s.cloudClasses()
	s.newAccount(cloudAccount)
	s.rotate(c, wholeText("Lanyard's"))

	s.must(s.Uninstall(ctx))
	s.eventually("Lanyard's sockets are gone", func() error {
		if left, err := filepath.Glob(filepath.Join(providersDir, "*.sock")); err != nil || len(left) > 0 {
			return fmt.Errorf("there are %v: %w", left, err)
		}
		return nil
	})
	s.must(restartDriver(ctx))
	before := map[string][]string{
		"from-vault": {"password"},
		"from-aws":   {"password", "_prod_api_key", "prod_db_creds"},
		"from-azure": {"password"},
		"from-gcp":   {"password"},
	}
	// ASCP writes its files itself unless it is told otherwise, and a provider that is
	// killed leaves its socket behind.
	originals := []*original{
		{name: "vault", files: before["from-vault"]},
		{name: "aws", files: before["from-aws"], writes: true, killed: true},
		{name: "azure", files: before["from-azure"]},
		{name: "gcp", files: before["from-gcp"], killed: true},
	}
	for _, o := range originals {
		s.must(o.start())
		s.atEnd(func(context.Context) error {
			o.stop()
			return os.RemoveAll(o.socket())
		})
	}
	classes := []string{"from-vault", "from-aws", "from-azure", "from-gcp"}
	s.start(pod{Name: "web", Account: cloudAccount, Classes: classes})
	watched := watchFiles([]string{"password"})
	for _, class := range classes {
		if what, err := readWhole(s.volume("web", class), "password"); what != "the original's" || err != nil {
			t.Fatalf("%s holds %q: %v", class, what, err)
		}
		if class != "from-aws" { // whose regular files the driver removes before it writes its own
			watched.add(s.volume("web", class))
		}
	}

	driver, _ := s.PID("driver")
	started := s.get("web").Status.ContainerStatuses[0]
	for _, o := range originals {
		o.stop()
	}
	s.must(s.Helm(ctx, append(s.cloudValues(c), "socketDirectory="+originalsDir)...))
	for class, files := range before {
		volume := s.volume("web", class)
		for _, file := range files {
			if file == "prod_db_creds" {
				continue // which is JSON around the value
			}
			s.eventually(class+" holds Lanyard's "+file, func() error {
				if what, err := readWhole(volume, file); what != "Lanyard's" {
					return fmt.Errorf("it holds %q: %w", what, err)
				}
				return nil
			})
		}
		var found []string
		entries, err := os.ReadDir(volume)
		s.must(err)
		for _, entry := range entries {
			if entry.Name()[0] != '.' {
				found = append(found, entry.Name())
			}
		}
		slices.Sort(files)
		if !slices.Equal(found, files) {
			t.Errorf("%s has the files %v, want %v", class, found, files)
		}
	}
	if looks, err := watched.end(); err != nil {
		t.Errorf("in %d looks: %v", looks, err)
	}
	if now, running := s.PID("driver"); now != driver || !running {
		t.Errorf("the driver was process %d, and is %d", driver, now)
	}
	if now := s.get("web").Status.ContainerStatuses[0]; now.ContainerID != started.ContainerID || now.RestartCount > 0 {
		t.Error("the pod's container was restarted")
	}
	s.end("web")
}

// original stands in for another provider: it answers each Mount with its files.
type original struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	name   string
	files  []string
	writes bool // into the volume, as regular files, instead of handing them to the driver
	killed bool // at the end, so that its socket stays

	server *grpc.Server
}

func (o *original) socket() string { return filepath.Join(originalsDir, o.name+".sock") }

func (o *original) start() error {
	if err := os.MkdirAll(originalsDir, 0o750); err != nil {
		return err
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.socket(), Net: "unix"})
	if err != nil {
		return err
	}
	socket.SetUnlinkOnClose(!o.killed)
	o.server = grpc.NewServer()
	v1alpha1.RegisterCSIDriverProviderServer(o.server, o)
	go o.server.Serve(socket)
	return nil
}

func (o *original) stop() { o.server.Stop() }

// Mount implements the driver's protocol.
func (o *original) Mount(_ context.Context, request *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	answer := &v1alpha1.MountResponse{}
	for _, name := range o.files {
		content := []byte(wholeText("the original's"))
		answer.ObjectVersion = append(answer.ObjectVersion, &v1alpha1.ObjectVersion{Id: name, Version: "1"})
		if !o.writes {
			answer.Files = append(answer.Files, &v1alpha1.File{Path: name, Mode: 0o644, Contents: content})
			continue
		}
		temporary := filepath.Join(request.GetTargetPath(), "."+name+".tmp")
		if err := os.WriteFile(temporary, content, 0o644); err != nil {
			return nil, err
		}
		if err := os.Rename(temporary, filepath.Join(request.GetTargetPath(), name)); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// Version implements the driver's protocol.
func (*original) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "original", RuntimeVersion: "1"}, nil
}
