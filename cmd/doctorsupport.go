package cmd

import (
	"regexp"
	"strconv"
)

// support is the support matrix: what this build works with, and what it is tested with.
// docs/doctor.md has it as a table.
var support = struct {
	// Kubernetes is the oldest minor version of 1 that the driver's chart installs on.
	// KubernetesTested are the minor versions of the tests.
	Kubernetes       int
	KubernetesTested []int
	// Driver is the oldest version of the driver that speaks the provider's protocol as
	// Lanyard needs it, with files in the answer; DriverTested is that of the tests.
	Driver, DriverTested [3]int
}{
	Kubernetes: 30, KubernetesTested: []int{34, 37},
	// https://github.com/kubernetes-sigs/secrets-store-csi-driver/releases/tag/v0.0.21
	Driver: [3]int{1, 0, 0}, DriverTested: [3]int{1, 6, 0},
}

var versionText = regexp.MustCompile(`^v?(\d+)\.(\d+)(?:\.(\d+))?`)

// parseVersion reads v1.34.4, and what clouds append to it.
func parseVersion(text string) (version [3]int, ok bool) {
	found := versionText.FindStringSubmatch(text)
	if found == nil {
		return version, false
	}
	for i := range version {
		version[i], _ = strconv.Atoi(found[i+1]) //nolint:errcheck // digits, or nothing for 0
	}
	return version, true
}

// older says whether a version is before another.
func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
