package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stage is what a stage of a Dockerfile makes.
type stage struct {
	user            string
	entrypoint, cmd []string
	labels          map[string]string
	copied          []string
}

// dockerfile is the Dockerfile, each instruction on a line of its own.
func dockerfile(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(source, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`\\\n\s*`).ReplaceAllString(string(data), "")
}

// lastStage reads the instructions of the last stage, with the build arguments
// of options.
func lastStage(t *testing.T) stage {
	t.Helper()
	text := dockerfile(t)
	text = text[strings.LastIndex(text, "\nFROM "):]
	text = strings.NewReplacer("${VERSION}", "v1.2.3", "${COMMIT}", "0123abc").Replace(text)
	last := stage{labels: map[string]string{}}
	for line := range strings.Lines(text) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "USER":
			last.user = rest
		case "ENTRYPOINT":
			words(t, rest, &last.entrypoint)
		case "CMD":
			words(t, rest, &last.cmd)
		case "COPY":
			last.copied = append(last.copied, rest[strings.LastIndex(rest, " ")+1:])
		case "LABEL":
			for _, label := range regexp.MustCompile(`([\w.]+)="([^"]*)"`).FindAllStringSubmatch(rest, -1) {
				last.labels[label[1]] = label[2]
			}
		}
	}
	return last
}

func words(t *testing.T, text string, target *[]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), target); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func TestTheDockerfileCompilesWithTheSameFlags(t *testing.T) {
	text := dockerfile(t)
	for _, want := range []string{
		"CGO_ENABLED=0", "-trimpath", "-buildvcs=false",
		`-ldflags "-s -w -X github.com/lanyardhq/lanyard/cmd.version=${VERSION} -X github.com/lanyardhq/lanyard/cmd.commit=${COMMIT}"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile does not build with %s", want)
		}
	}
}
