package reseal_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/manifest/reseal"
	"github.com/lanyardhq/lanyard/provider/seal"
)

// childOf is the variable that makes this binary reseal the files of the bench in
// a folder, in place of its tests.
const childOf = "LANYARD_TEST_RESEAL"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childOf); folder != "" {
		if err := resealAsChild(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// resealAsChild reseals with the rings that lie in the folder. It says so on
// standard output when it begins.
func resealAsChild(folder string) error {
	b := &bench{dir: filepath.Join(folder, "deploy")}
	var err error
	if b.before, err = seal.ReadKeyRing(filepath.Join(folder, "before")); err != nil {
		return err
	}
	if b.after, err = seal.ReadKeyRing(filepath.Join(folder, "after")); err != nil {
		return err
	}
	found, err := reseal.Find(nil, []string{b.dir})
	if err != nil {
		return err
	}
	fmt.Println("begins")
	if report := reseal.Run(context.Background(), b.options(), found); !report.Complete() {
		return fmt.Errorf("%+v", report)
	}
	return nil
}

var sealedText = regexp.MustCompile(`lanyard\.v1\.[A-Za-z0-9_-]+`)

// A run that is killed leaves every file as it was or done, and nothing that the
// next run stumbles over.
func TestARunThatIsKilledLeavesWholeFiles(t *testing.T) {
	b := newBench(t)
	folder := b.dir
	b.dir = filepath.Join(folder, "deploy")
	for name, ring := range map[string]*seal.KeyRing{"before": b.before, "after": b.after} {
		data, err := ring.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), data.Reveal(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const files, each = 60, 3
	before := map[string]string{}
	for i := range files {
		var content strings.Builder
		for j := range each {
			fmt.Fprintf(&content, "v%d: %s # value %d\n", j, b.seal(exact("a"), "v"), j)
		}
		before[b.write(fmt.Sprintf("%d/f.yaml", i), content.String())] = content.String()
	}
	done := func() (n int) {
		t.Helper()
		for path, old := range before {
			now := b.read(path)
			if now == old {
				continue
			}
			n++
			if sealedText.ReplaceAllString(now, "X") != sealedText.ReplaceAllString(old, "X") {
				t.Fatalf("%s is not whole:\n%s", path, now)
			}
			for _, text := range sealedText.FindAllString(now, -1) {
				sealed, err := seal.Parse(text)
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				if _, err := b.open(t.Context(), b.after, sealed); err != nil {
					t.Fatalf("%s is neither old nor new: %v", path, err)
				}
			}
		}
		return n
	}
	// Kills count that come after the first file of a run and before the last.
	amid, last, most := 0, 0, 20*time.Millisecond
	for round := 0; amid < 10; round++ {
		if round == 300 {
			t.Fatalf("%d of %d kills came in the midst of a run", amid, round)
		}
		ended := runToRandomDeath(t, folder, most)
		switch now := done(); {
		case ended || now == files:
			for path, old := range before {
				if err := os.WriteFile(path, []byte(old), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			last, most = 0, most*2/3
		case now == last:
			most += most / 2
		default:
			amid, last = amid+1, now
		}
	}
	if err := child(folder).Run(); err != nil {
		t.Errorf("the run after the killed ones: %v", err)
	}
	if n := done(); n != files {
		t.Errorf("%d files are resealed, want %d", n, files)
	}
	found, err := reseal.Find(nil, []string{b.dir})
	if err != nil || len(found) != files || slices.ContainsFunc(found, func(in reseal.Input) bool { return before[in.Path] == "" }) {
		t.Errorf("a run finds %d files (%v), want the %d that there were", len(found), err, files)
	}
}

// child is this binary, which reseals.
func child(folder string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childOf+"="+folder)
	cmd.Stderr = os.Stderr
	return cmd
}

// runToRandomDeath starts a run and kills it a moment after it begins, at most so
// late, unless it ends before.
func runToRandomDeath(t *testing.T, folder string, most time.Duration) (ended bool) {
	t.Helper()
	cmd := child(folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "begins\n" {
		t.Errorf("the run said %q, %v", line, err)
	}
	time.Sleep(rand.N(max(most, time.Millisecond)))
	_ = cmd.Process.Kill() // it may have ended
	return cmd.Wait() == nil
}
