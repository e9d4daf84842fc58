package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Workload is the image of test pods, which is BusyBox alone. Without a command
// a container sleeps until it is asked to end. Pods' sandboxes use it too.
const Workload = "lanyard.test/workload:1"

// importWorkload makes the image from the machine's own BusyBox.
func (c *Cluster) importWorkload(ctx context.Context) error {
	busybox, err := lookPath("busybox")
	if err != nil {
		return err
	}
	content, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	applets, err := run(ctx, busybox, "--list")
	if err != nil {
		return err
	}
	files, err := workloadFiles(content, strings.Fields(applets))
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil })
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux", RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs(image)},
		Config: v1.Config{
			Env: []string{"PATH=/bin"},
			// The first process of a container ignores signals that it has no
			// handler for.
			Entrypoint: []string{"/bin/sh", "-c", "trap exit TERM INT; sleep 1000000000 & wait"},
		},
	})
	if err != nil {
		return err
	}
	tag, err := name.NewTag(Workload)
	if err != nil {
		return err
	}
	archive := c.Path("workload.tar")
	if err := tarball.WriteToFile(archive, tag, image); err != nil {
		return err
	}
	return c.ImportImage(ctx, archive)
}

// diffIDs are those of the image's layers, which has some.
func diffIDs(image v1.Image) []v1.Hash {
	config, err := image.ConfigFile()
	if err != nil {
		return nil
	}
	return config.RootFS.DiffIDs
}

// workloadFiles is the image's only layer: BusyBox, a link to it for each of
// its programs, and a folder for temporary files.
func workloadFiles(busybox []byte, applets []string) ([]byte, error) {
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	headers := []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(busybox))},
	}
	for _, applet := range applets {
		if applet != "busybox" {
			headers = append(headers, &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777})
		}
	}
	for _, header := range headers {
		header.ModTime = time.Unix(0, 0)
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := archive.Write(busybox); err != nil {
				return nil, err
			}
		}
	}
	return files.Bytes(), archive.Close()
}
