package csi

import "testing"

func TestRuntimeVersionIsSemanticWhateverTheBuildIsCalled(t *testing.T) {
	for build, want := range map[string]string{
		"v1.2.3":                             "v1.2.3",
		"1.2.3-rc.1+abc":                     "1.2.3-rc.1+abc",
		"v0.0.0-20260102150405-0123456789ab": "v0.0.0-20260102150405-0123456789ab",
		"(devel)":                            "v0.0.0-dev+devel",
		"98644a4-dirty":                      "v0.0.0-dev+98644a4-dirty",
		"v1.2":                               "v0.0.0-dev+v1.2",
		"unknown":                            "v0.0.0-dev+unknown",
		"":                                   "v0.0.0-dev",
	} {
		got := runtimeVersion(build)
		if got != want || !semantic.MatchString(got) {
			t.Errorf("%q: %q, want %q", build, got, want)
		}
	}
}
