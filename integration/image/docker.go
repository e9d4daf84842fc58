package image

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

// dockerManifest is the manifest.json by which Docker's classic image store, the
// one that minikube's nodes with Docker have, finds an image among the blobs of
// a layout: the one for architecture, as `docker save` writes it.
//
// https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.2.md#combined-image-json--filesystem-changeset-format
func dockerManifest(dir, architecture string) ([]byte, error) {
	written, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	named, err := written.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(named.Manifests) != 1 {
		return nil, fmt.Errorf("%s holds %d images, and WriteLayout writes one", dir, len(named.Manifests))
	}
	index, err := written.ImageIndex(named.Manifests[0].Digest)
	if err != nil {
		return nil, err
	}
	images, err := partial.FindImages(index, func(found v1.Descriptor) bool {
		return found.Platform != nil && found.Platform.Architecture == architecture
	})
	if err != nil {
		return nil, err
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("%s holds %d images for %s, and Docker wants one", dir, len(images), architecture)
	}
	manifest, err := images[0].Manifest()
	if err != nil {
		return nil, err
	}
	entry := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: blob(manifest.Config.Digest), RepoTags: []string{named.Manifests[0].Annotations[fullName]}}
	for _, layer := range manifest.Layers {
		entry.Layers = append(entry.Layers, blob(layer.Digest))
	}
	return json.Marshal([]any{entry})
}

// blob is where a layout keeps what has the digest.
func blob(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }
