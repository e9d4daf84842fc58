package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/lanyardhq/lanyard/integration/bench/syncresult"
	"github.com/lanyardhq/lanyard/integration/binaries"
)

// measureSync measures the sync controller beside the binary that is measured: its
// program is in the module of clusters, as that of cold starts is.
func measureSync(ctx context.Context, l *lab) ([]figure, error) {
	module, err := binaries.Folder("cluster")
	if err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(filepath.Join(filepath.Dir(l.binary), "lanyard-sync"))
	if err != nil {
		return nil, err
	}
	classes, idle, changes := 10_000, "2m", 10
	if l.quick {
		classes, idle, changes = 1000, "30s", 3
	}
	output, err := runGo(ctx, module, "run", "./syncbench", "-binary", binary, "-classes", strconv.Itoa(classes), "-idle", idle, "-changes", strconv.Itoa(changes))
	if err != nil {
		return nil, err
	}
	var got syncresult.Result
	if err := json.Unmarshal([]byte(output), &got); err != nil {
		return nil, fmt.Errorf("syncbench printed %q: %w", output, err)
	}
	minutes := got.Idle / 60
	change := summarize("s", got.Changes)
	return []figure{
		{What: fmt.Sprintf("%d annotated classes of one service account over %d secrets: start until all Secrets are there", classes, got.Secrets), Unit: "s", Value: got.First, Floor: got.Floor, Note: "the floor is the same Secrets written from memory; the controller also notes each in its class, and makes an Event"},
		{What: "the same: calls of Vault until then", Unit: "calls", Value: float64(got.FirstStoreCalls), Note: "one of them the login"},
		figure{What: "the same: calls of Vault in a minute without changes", Unit: "calls", Value: float64(got.IdleStoreCalls) / minutes}.held(atMost, 3*float64(got.Secrets), "one read for each secret and 30 s"),
		figure{What: "the same: calls of the API server about classes and Secrets in a minute without changes", Unit: "calls", Value: float64(got.IdleAPICalls) / minutes, Note: "each Secret is written again every 10 min"}.held(atMost, float64(classes)/5, "those writes twice over"),
		{What: "the same: processor time in a minute without changes", Unit: "s", Value: got.IdleCPU / minutes},
		figure{What: "the same: memory, without the pages of the binary", Unit: "MiB", Value: got.Memory}.held(atMost, 128, "the chart's limit"),
		figure{What: "the same: calls of Vault in an hour by a driven clock", Unit: "calls", Value: float64(got.Hour.StoreCalls), Note: fmt.Sprintf("%d looks at objects; logins are among the calls", got.Hour.Looks)}.held(atMost, 3600.0/27*float64(got.Secrets), "one read for each secret and 27 s, the least that the spread makes of 30 s"),
		figure{What: "the same: calls of the API server in that hour", Unit: "calls", Value: float64(got.Hour.APICalls), Note: "each Secret is written again every 10 min"}.held(atMost, 7.2*float64(classes), "those writes and a fifth more"),
		{What: "the same: processor time in that hour", Unit: "s", Value: got.Hour.CPU, Note: "without controller-runtime, whose queue would wait; the clock's own work is among it"},
		{What: "the same: a change in Vault to the Secret: p50", Unit: "s", Value: change.P50, Samples: map[string]summary{"change": change}, Note: "a value is read every 30 s, and an object is looked at every 30 s"},
		{What: "the same: a change in Vault to the Secret: p99", Unit: "s", Value: change.P99},
	}, nil
}
