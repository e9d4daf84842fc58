// Package image builds Lanyard's image without a container engine: static
// binaries and the root certificates, for several platforms, as an OCI layout
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
// What is in it is what the Dockerfile's last stage makes. The same source,
// compiler, certificates and options give the same bytes.
//
// It takes nothing from a registry and sends nothing to one.
//
// Start with Build.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Architectures are those that the image is made for, on Linux.
var architectures = []string{"amd64", "arm64"}

// user is who the image runs as unless a pod says otherwise: nobody in
// particular, without a name, and not root.
const user = "65532:65532"

// Options are what the image is made from.
type Options struct {
	// Source is the root of Lanyard's source.
	Source string
	// Certificates is a directory of root certificates in PEM, *.crt; see
	// DebianCertificates.
	Certificates string
	// Version and Commit are what `lanyard version` and the labels show. Empty
	// leaves them out.
	Version, Commit string
	// Created is the time that the image and its files bear, in whole seconds.
	// The commit's own makes builds of one commit the same.
	Created time.Time
	// Architectures are Go's names for what to build for; amd64 and arm64 if
	// there are none.
	Architectures []string
}

// Build makes the image: an index of one manifest for each architecture.
func Build(ctx context.Context, opts Options) (v1.ImageIndex, error) {
	if len(opts.Architectures) == 0 {
		opts.Architectures = slices.Clone(architectures)
	}
	opts.Created = opts.Created.UTC().Truncate(time.Second)
	bundle, err := certificates(opts.Certificates)
	if err != nil {
		return nil, err
	}
	roots, err := layer(opts.Created, file{"etc/ssl/certs/ca-certificates.crt", bundle, 0o644})
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range opts.Architectures {
		if !slices.Contains(architectures, architecture) {
			return nil, fmt.Errorf("there is no image for %s; there is one for %v", architecture, architectures)
		}
		one, err := forArchitecture(ctx, opts, architecture, roots)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", architecture, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        one,
			Descriptor: v1.Descriptor{Platform: platform(architecture)},
		})
	}
	return index, nil
}

// forArchitecture is the image for one of the architectures.
func forArchitecture(ctx context.Context, opts Options, architecture string, roots v1.Layer) (_ v1.Image, err error) {
	dir, err := os.MkdirTemp("", "lanyard-image-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := compile(ctx, opts, architecture, dir); err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	created := v1.Time{Time: opts.Created}
	layers := []mutate.Addendum{{Layer: roots, History: v1.History{Created: created, CreatedBy: "root certificates"}}}
	for _, program := range programs {
		binary, err := os.ReadFile(filepath.Join(dir, program.name))
		if err != nil {
			return nil, err
		}
		one, err := layer(opts.Created, file{program.name, binary, 0o755})
		if err != nil {
			return nil, err
		}
		layers = append(layers, mutate.Addendum{Layer: one, History: v1.History{Created: created, CreatedBy: program.name}})
	}
	filled, err := mutate.Append(base, layers...)
	if err != nil {
		return nil, err
	}
	config, err := filled.ConfigFile()
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, errors.New("the image has no configuration")
	}
	config = config.DeepCopy()
	on := platform(architecture)
	config.OS, config.Architecture, config.Variant = on.OS, on.Architecture, on.Variant
	config.Created = created
	config.Config = v1.Config{
		User:       user,
		WorkingDir: "/",
		Entrypoint: []string{"/lanyard"},
		Cmd:        []string{"serve"},
		Labels:     labels(opts),
	}
	return mutate.ConfigFile(filled, config)
}

// platform is an architecture as registries know it.
func platform(architecture string) *v1.Platform {
	on := &v1.Platform{OS: "linux", Architecture: architecture}
	if architecture == "arm64" {
		on.Variant = "v8"
	}
	return on
}

// labels say what the image is; the names are
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md's.
func labels(opts Options) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "lanyard",
		"org.opencontainers.image.description": "Secrets for Kubernetes workloads through the Secrets Store CSI driver",
		"org.opencontainers.image.source":      "https://github.com/lanyardhq/lanyard",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     opts.Version,
		"org.opencontainers.image.revision":    opts.Commit,
	}
}
