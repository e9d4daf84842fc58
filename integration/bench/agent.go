package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measureAgent measures the resident memory of lanyard agent in a pod with 20 secrets of
// one Vault: after it has given back what only its start needed, while it reads them every
// second.
func measureAgent(ctx context.Context, l *lab) ([]figure, error) {
	proxy, err := l.proxy(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	token, err := l.issuer.Token(claims("agent", 0))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": map[string]any{"name": "bench"},
		"spec": map[string]any{"provider": "lanyard", "parameters": class(large, largeCount)},
	})
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"token": token, "class.yaml": string(manifest), "lanyard.yaml": config(proxy.Address, time.Second)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	binary, err := filepath.Abs(l.binary)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(dir, binary, "agent", "--config", filepath.Join(dir, "lanyard.yaml"), "--class-file", filepath.Join(dir, "class.yaml"),
		"--target", filepath.Join(dir, "target"), "--token", audience+"="+filepath.Join(dir, "token"))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	const trimmed = 15 * time.Second // package server/process does so after 5 s
	var at memory
	for end := time.Now().Add(trimmed); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
		if at, err = memoryOf(p.cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	if reads := proxy.Count("GET", "secret/data/"); reads < largeCount*int(trimmed/time.Second)/2 {
		return nil, fmt.Errorf("the agent made %d reads:\n%s", reads, p.printed())
	}
	return []figure{
		figure{What: "agent: resident memory with 20 secrets of 1 KiB of one Vault, read every second", Unit: "MiB", Value: at.resident, Note: at.note()}.held(atMost, 30, "30 MiB"),
		{What: "the same: peak, at the start", Unit: "MiB", Value: at.peak},
	}, nil
}
