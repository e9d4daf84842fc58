// Command coldstart measures how long an API server takes from its start until
// it lists 10,000 Secrets that lie in etcd under 50 seeds of the KMS plugin, and
// how often it has the plugin decrypt for that. Beside it, it measures the same
// with Secrets that are not encrypted. It prints one line of JSON, a Result:
//
//	go run ./coldstart [-runs 3]
//
// What etcd holds is made by the API server's own code (k8s.io/apiserver),
// which asks the plugin for each seed: 50 starts of API servers, or changes of
// the key, would leave the same and take an hour.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

const (
	secrets = 10_000
	seeds   = 50
)

// Result is what is printed.
type Result struct {
	Secrets int `json:"secrets"`
	Seeds   int `json:"seeds"`
	// Encrypted and Plain are the times of each start in seconds.
	Encrypted []float64 `json:"encrypted"`
	Plain     []float64 `json:"plain"`
	// Decrypts are the calls of the plugin in each start.
	Decrypts []int `json:"decrypts"`
}

func main() {
	runs := flag.Int("runs", 3, "`N` starts of each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	result, err := measure(ctx, *runs)
	stop()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "coldstart:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, runs int) (_ *Result, err error) {
	parts, err := kmsplugin.Setup(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	vault, err := parts.Vault(ctx)
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "lanyard-coldstart-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	plugin, err := vault.Plugin(kmsplugin.Options{Metrics: true}, "one", "write")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plugin.Close()) }()
	if err := plugin.Start(); err != nil {
		return nil, err
	}
	encrypted, err := newSubject(ctx, directory, plugin)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, encrypted.close()) }()
	plain, err := newSubject(ctx, directory, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.close()) }()

	result := &Result{Secrets: secrets, Seeds: seeds}
	for i := range 1 + runs {
		took, decrypts, err := encrypted.start(ctx)
		if err != nil {
			return nil, err
		}
		without, _, err := plain.start(ctx)
		if err != nil {
			return nil, err
		}
		if i == 0 { // brings the binary and the data into memory
			continue
		}
		result.Encrypted = append(result.Encrypted, seconds(took))
		result.Plain = append(result.Plain, seconds(without))
		result.Decrypts = append(result.Decrypts, decrypts)
	}
	return result, nil
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
