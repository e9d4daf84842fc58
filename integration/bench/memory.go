package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

const mib = 1 << 20

// measureMemory measures the provider's resident memory: idle, and after the
// pods of a large node have mounted and been polled.
func measureMemory(ctx context.Context, l *lab) ([]figure, error) {
	const pods = 250
	proxy, err := l.proxy(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	requests, err := l.accounts("memory", pods, class(large, largeCount))
	if err != nil {
		return nil, err
	}
	provider, err := l.startProvider(ctx, config(proxy.Address, never))
	if err != nil {
		return nil, err
	}
	defer provider.stop()
	if _, err := provider.client.Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"}); err != nil {
		return nil, err
	}
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	idle, err := memoryOf(provider.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	for range 2 {
		if _, err := provider.poll(ctx, requests, largeCount); err != nil {
			return nil, err
		}
	}
	full, err := memoryOf(provider.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	seen := callsAt(proxy)
	first := figure{What: "resident memory, idle", Unit: "MiB", Value: idle.resident, Calls: &calls{}, Note: idle.note(), Chart: "memory, idle"}
	then := figure{What: "resident memory after 250 pods × 20 secrets of 1 KiB", Unit: "MiB", Value: full.resident, Calls: &seen, Note: full.note(), Chart: "memory, 250 pods", Headline: "resident memory after 250 pods × 20 secrets of 1 KiB"}
	return []figure{
		first.held(atMost, 40, "40 MiB"),
		then.held(atMost, 64, "64 MiB"),
		{What: "the same: peak", Unit: "MiB", Value: full.peak},
	}, nil
}

// memory is that of a process, in MiB.
type memory struct {
	resident, peak float64
	// proportional counts pages that processes share by their share; zero if
	// this process may not see it.
	proportional float64
}

func (m memory) note() string {
	if m.proportional == 0 {
		return ""
	}
	return fmt.Sprintf("PSS %.1f MiB", m.proportional)
}

// memoryOf reads proc_pid_status(5) and, if it may, proc_pid_smaps(5).
func memoryOf(pid int) (memory, error) {
	status, err := procFields(pid, "status")
	if err != nil {
		return memory{}, err
	}
	m := memory{resident: status["VmRSS"], peak: status["VmHWM"]}
	// A process that is not dumpable shows this to few.
	if rollup, err := procFields(pid, "smaps_rollup"); err == nil {
		m.proportional = rollup["Pss"]
	}
	return m, nil
}

// procFields are the fields of a file below /proc/PID that are in kB, in MiB.
func procFields(pid int, name string) (map[string]float64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	fields := map[string]float64{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		key, rest, _ := strings.Cut(lines.Text(), ":")
		number, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file.Name(), key, err)
		}
		fields[key] = kib * 1024 / mib
	}
	return fields, lines.Err()
}
