package main_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	makeCall   = regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)`)
	makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):.*##`)
)

// matches are the first groups of all matches, sorted, each once.
func matches(expression *regexp.Regexp, text string) []string {
	var found []string
	for _, match := range expression.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// withoutComments is a shell script or YAML file without its lines of comments.
func withoutComments(text string) string {
	return regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(text, "")
}

func TestWorkflowsCallTheTargetsOfTheLocalRun(t *testing.T) {
	files, err := filepath.Glob(".github/*/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	actions, err := filepath.Glob(".github/actions/*/action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var public strings.Builder
	for _, file := range append(files, actions...) {
		public.WriteString(withoutComments(read(t, file)))
	}
	called := matches(makeCall, public.String())
	// The two parts of test are jobs of their own there.
	whole := strings.Replace(withoutComments(read(t, ".ci/run")), "make test", "make unit\nmake integration", 1)
	local := matches(makeCall, whole)
	if len(called) == 0 || !slices.Equal(called, local) {
		t.Errorf("the workflows call make %q, and .ci/run calls make %q", called, local)
	}
	targets := matches(makeTarget, read(t, "Makefile"))
	for _, target := range called {
		if !slices.Contains(targets, target) {
			t.Errorf("the Makefile has no target %s", target)
		}
	}
}

// TestUpdatesFollowEveryPinnedVersion holds renovate.json to the files that pin
// a version.
func TestUpdatesFollowEveryPinnedVersion(t *testing.T) {
	var updates struct {
		IncludePaths   []string
		CustomManagers []struct {
			ManagerFilePatterns, MatchStrings []string
		}
	}
	if err := json.Unmarshal([]byte(read(t, ".github/renovate.json")), &updates); err != nil {
		t.Fatal(err)
	}
	for _, path := range updates.IncludePaths {
		if found, err := filepath.Glob(path); err != nil || len(found) == 0 {
			t.Errorf("the updates include %s, which is not there", path)
		}
	}
	for _, file := range append(modules(t), "Dockerfile", "versions.env", ".github/workflows/*.yml") {
		if !slices.Contains(updates.IncludePaths, file) {
			t.Errorf("the updates do not include %s", file)
		}
	}

	followed := map[string][]string{} // versions by file
	for _, manager := range updates.CustomManagers {
		for _, file := range manager.ManagerFilePatterns {
			if !slices.Contains(updates.IncludePaths, file) {
				t.Errorf("a custom manager follows %s, which the updates do not include", file)
			}
			found := 0
			for _, expression := range manager.MatchStrings {
				for _, version := range regexp.MustCompile(expression).FindAllStringSubmatch(read(t, file), -1) {
					followed[file] = append(followed[file], version[1])
					found++
				}
			}
			if found != 1 {
				t.Errorf("%q finds %d versions in %s", manager.MatchStrings, found, file)
			}
		}
	}
	for name, version := range versions(t) {
		if !slices.Contains(followed["versions.env"], strings.TrimPrefix(version, "go")) {
			t.Errorf("the updates do not follow %s of versions.env", name)
		}
	}
}

func TestOwnersAreOfPathsThatExist(t *testing.T) {
	for line := range strings.Lines(withoutComments(read(t, ".github/CODEOWNERS"))) {
		if fields := strings.Fields(line); len(fields) > 0 {
			if found, err := filepath.Glob(strings.TrimPrefix(fields[0], "/")); err != nil || len(found) == 0 {
				t.Errorf("%s has owners and is not there", fields[0])
			}
		}
	}
}

// TestImageIsMadeFromWhatItCopies holds .dockerignore, which hides everything
// else, to the Dockerfile, and the Dockerfile to the packages of the program.
func TestImageIsMadeFromWhatItCopies(t *testing.T) {
	var copied []string
	for _, match := range regexp.MustCompile(`(?m)^COPY ([a-z].*) \S+$`).FindAllStringSubmatch(read(t, "Dockerfile"), -1) {
		copied = append(copied, strings.Fields(match[1])...)
	}
	slices.Sort(copied)
	if shown := matches(regexp.MustCompile(`(?m)^!(.*)$`), read(t, ".dockerignore")); !slices.Equal(copied, shown) {
		t.Errorf("the Dockerfile copies %q, and .dockerignore shows %q", copied, shown)
	}
	packages, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{end}}{{end}}", ".", "./cmd/lanyard-sync", "./cmd/lanyard-exec").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range matches(regexp.MustCompile(`(?m)^github\.com/lanyardhq/lanyard/([a-z]+)`), string(packages)) {
		if !slices.Contains(copied, folder) {
			t.Errorf("the program has packages in %s, which the Dockerfile does not copy", folder)
		}
	}
}
