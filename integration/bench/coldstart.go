package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/lanyardhq/lanyard/integration/binaries"
)

// measureColdStart measures the starts of real API servers that have to read
// Secrets under many seeds of the KMS plugin, and of others whose Secrets are
// not encrypted. The module of clusters has the program that does: what that
// requires does not agree with this module.
func measureColdStart(ctx context.Context, l *lab) ([]figure, error) {
	module, err := binaries.Folder("cluster")
	if err != nil {
		return nil, err
	}
	output, err := runGo(ctx, module, "run", "./coldstart", "-runs", strconv.Itoa(l.samples(5)))
	if err != nil {
		return nil, err
	}
	var got struct {
		Secrets   int       `json:"secrets"`
		Seeds     int       `json:"seeds"`
		Encrypted []float64 `json:"encrypted"`
		Plain     []float64 `json:"plain"`
		Decrypts  []int     `json:"decrypts"`
	}
	if err := json.Unmarshal([]byte(output), &got); err != nil {
		return nil, fmt.Errorf("coldstart printed %q: %w", output, err)
	}
	encrypted, plain := summarize("s", got.Encrypted), summarize("s", got.Plain)
	what := fmt.Sprintf("API server start to %d Secrets listed, under %d seeds of the KMS plugin", got.Secrets, got.Seeds)
	took := figure{
		What: what + ": p50", Unit: "s", Value: encrypted.P50, Floor: plain.P50, Note: "the floor is without encryption",
		Samples: map[string]summary{"encrypted": encrypted, "plain": plain},
	}
	calls := figure{What: what + ": Decrypt calls", Unit: "calls", Value: float64(slices.Max(got.Decrypts))}
	return []figure{took, calls.held(exactly, float64(got.Seeds), "one for each seed")}, nil
}
