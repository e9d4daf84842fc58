package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// fullName is the annotation of a layout's image with what containerd, and here
// Docker too, is to call it.
const fullName = "io.containerd.image.name"

// WriteLayout writes the image to dir as an OCI layout, in place of one that is
// there. Name is what the image is to be called, repository:tag; containerd
// takes it from there when it imports the layout.
func WriteLayout(dir, name, tag string, index v1.ImageIndex) error {
	if err := makeRoom(dir); err != nil {
		return err
	}
	written, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return written.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag,
		fullName:                            name + ":" + tag,
	}))
}

// makeRoom removes an older layout. What is not one stays, and is an error.
func makeRoom(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
		return fmt.Errorf("%s is not empty and holds no OCI layout; name another directory", dir)
	}
	return os.RemoveAll(dir)
}

// WriteArchive writes the layout in dir as one tar file, which is what
// `ctr images import` reads and `docker load` where Docker keeps its images in
// containerd. Docker's classic store reads manifest.json instead, which tells of
// one image: the one for architecture.
func WriteArchive(path, dir, architecture string, created time.Time) (err error) {
	manifest, err := dockerManifest(dir, architecture)
	if err != nil {
		return err
	}
	target, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	archive := tar.NewWriter(target)
	// WalkDir goes in the order of names, so that the file is always the same.
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return addFile(archive, dir, path, created)
	})
	if err != nil {
		return err
	}
	header := archiveHeader("manifest.json", int64(len(manifest)), created)
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if _, err := archive.Write(manifest); err != nil {
		return err
	}
	return archive.Close()
}

func archiveHeader(name string, size int64, created time.Time) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size,
		ModTime: created.UTC().Truncate(time.Second), Format: tar.FormatPAX,
	}
}

func addFile(archive *tar.Writer, dir, path string, created time.Time) error {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	source, err := os.Open(path)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // read only
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(archiveHeader(filepath.ToSlash(name), info.Size(), created)); err != nil {
		return err
	}
	_, err = io.Copy(archive, source)
	return err
}
