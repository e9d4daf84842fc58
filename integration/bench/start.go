package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// measureStart measures from the start of the process to its first answer to a
// mount of 20 files of the node, the driver's first connection included.
func measureStart(ctx context.Context, l *lab) ([]figure, error) {
	const files = 20
	root, err := l.newDir()
	if err != nil {
		return nil, err
	}
	var objects strings.Builder
	for i := range files {
		name := fmt.Sprintf("file-%02d", i)
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o600); err != nil {
			return nil, err
		}
		fmt.Fprintf(&objects, "- {path: %s, store: files, key: %s}\n", name, name)
	}
	config := fmt.Sprintf("stores: {files: {type: file, root: %s, allow: [%s/*]}}\n", root, namespace)
	request, err := l.request("start", 0, map[string]string{"objects": objects.String()})
	if err != nil {
		return nil, err
	}
	var samples []float64
	for i := range 1 + l.samples(15) {
		took, err := l.startOnce(ctx, config, request, files)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first brings the binary into memory
			samples = append(samples, ms(took))
		}
	}
	took := summarize("ms", samples)
	f := figure{
		What: "start to first answered mount: p50", Unit: "ms", Value: took.P50, Calls: &calls{},
		Samples: map[string]summary{"provider": took}, Chart: "start to first mount",
		Headline: "start of the process to its first answered mount: p50",
	}
	return []figure{f.held(atMost, 150, "150 ms")}, nil
}

func (l *lab) startOnce(ctx context.Context, config string, request *v1alpha1.MountRequest, files int) (time.Duration, error) {
	start := time.Now()
	provider, err := l.startProvider(ctx, config)
	if err != nil {
		return 0, err
	}
	defer provider.stop()
	_, err = provider.mount(ctx, request, files)
	return time.Since(start), err
}
