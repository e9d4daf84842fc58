package main

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memoryGiB"`
	Kernel string  `json:"kernel"` // major and minor version
	System string  `json:"system"`
	// Go is the version that built the binary under test.
	Go   string `json:"go"`
	Date string `json:"date"`
	// LoadBefore and LoadAfter are the average number of tasks that wanted to
	// run in the minute before; the second includes the run itself.
	LoadBefore float64 `json:"loadBefore"`
	LoadAfter  float64 `json:"loadAfter"`
}

// kernelRelease is as much of a kernel's release as means the same on every machine:
// what follows is the distribution's or its builder's own.
var kernelRelease = regexp.MustCompile(`^[0-9]+\.[0-9]+`)

// describeMachine leaves empty what it cannot find out.
func describeMachine(binary string) machine {
	m := machine{
		CPU:        procField("/proc/cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		Date:       time.Now().UTC().Format(time.DateOnly),
		LoadBefore: loadAverage(),
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = kernelRelease.FindString(string(kernel))
	}
	if kib, err := strconv.ParseFloat(strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB"), 64); err == nil {
		m.Memory = kib / mib
	}
	if info, err := buildinfo.ReadFile(binary); err == nil {
		m.Go = info.GoVersion
	}
	return m
}

func (m machine) String() string {
	built := ""
	if m.Go != "" {
		built = m.Go + ", "
	}
	return fmt.Sprintf("%s, %d cores, %.0f GiB, Linux %s (%s), %s%s", m.CPU, m.Cores, m.Memory, m.Kernel, m.System, built, m.Date)
}

// procField is the value of the first line of the file that has the name.
func procField(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}

// loadAverage is that of the last minute; zero if it is not known.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}
