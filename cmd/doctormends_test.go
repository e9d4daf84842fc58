package cmd

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// hostileWords are names that nobody should have, as tenants choose them.
var hostileWords = []string{
	"$(reboot)", "`reboot`", "a;reboot", "a|reboot", "a&&reboot", "a b", "a'b", `a"b`, `a\b`, "a'; reboot; '", "*", "~root", "a>b", "a<b",
	"{a,b}", "!history", "#comment", "a$IFS", "%s", "a=b", "é", "a\tb"[:1],
}

// A shell reads every word as it was given, whatever is in it.
func TestACommandHasItsWordsAsTheyWereGiven(t *testing.T) {
	for _, word := range hostileWords {
		made := fixWith("printf %s --flag=%s,", word, word)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.TrimSuffix(strings.Replace(made.text, "printf", `printf '<%s>'`, 1), ",")).CombinedOutput()
		if want := "<" + word + "><--flag=" + word + ">"; err != nil || string(out) != want {
			t.Errorf("%q becomes %s, which a shell reads as %s (%v)", word, made.text, out, err)
		}
	}
}

func TestWhatCannotStandInACommandGivesNone(t *testing.T) {
	for _, word := range []string{"", "-rf", "--kubeconfig=/tmp/x", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\u009bb", "a\u200bb", "a\x00b", "a\x7fb", "a\xffb", strings.Repeat("a", maxFixWord+1)} {
		if made := fixWith("kubectl describe pod %s", word); made != noCommand {
			t.Errorf("%q: %s", word, made.text)
		}
	}
	if made := fixWith("kubectl %s %s", "get"); made != noCommand {
		t.Error(made.text)
	}
	for _, c := range []struct{ made, want string }{
		{fixWith("ls -l %s, and %s;", "/a", "b c").text, "ls -l /a, and 'b c';"},
		{fixWith("kubectl auth can-i --as=%s", "system:serviceaccount:a:b").text, "kubectl auth can-i --as=system:serviceaccount:a:b"},
		{fixWith("x --as=%s", "-rf").text, "x --as=-rf"},
		{fixWith("a").and(fixWith("b")).text, "a; b"},
		{helmValue("/a},image.tag={evil"), `/a\}\,image.tag=\{evil`},
	} {
		if c.made != c.want {
			t.Errorf("%s, not %s", c.made, c.want)
		}
	}
}

// hidden are characters that terminals act on or that people do not see.
var hidden = []string{"\x1b[2J", "\x07", "\r", "\b", "\x7f", "\u009b31m", "\u0085", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\U000e0041", "\xff", "\x00"}

// Whatever the place, the text and the advice hold, what is printed is a line of what can
// be seen.
func TestDoctorPrintsOnlyWhatCanBeSeen(t *testing.T) {
	var notes doctorNotes
	for _, one := range hidden {
		notes.fail("pod a"+one+"b\nok  forged", doctorFix{"run " + one + "\nok  forged"}, "says %s", one+"\nok  forged")
	}
	report := newDoctorReport(notes.findings)
	// Nor if a finding came another way.
	report.Findings = append(report.Findings, doctorFinding{Check: "x", Place: "a\x1b\nok", Says: "b\u202e\nok", Fix: "c\u009b\nok"})
	text := shownReport(report)
	if lines := strings.Count(text, "\n"); lines != 2*len(report.Findings) {
		t.Errorf("%d lines of %d findings:\n%s", lines, len(report.Findings), text)
	}
	shown, err := json.Marshal(report.Findings[:len(hidden)])
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{text, string(shown), jsonText(hidden)} {
		if at := strings.IndexFunc(printed, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
			t.Errorf("%q", printed[at:min(len(printed), at+20)])
		}
	}
	var again []string
	if err := json.Unmarshal([]byte(jsonText(hidden[:13])), &again); err != nil || !slices.Equal(again, hidden[:13]) {
		t.Errorf("%q, %v", again, err)
	}
}

// What a tenant chose reaches no line as it is: names of events, and labels of metrics.
func TestDoctorPrintsNoTenantsWordsRaw(t *testing.T) {
	a := newDoctorAPI(t)
	a.metrics = "lanyard_store_up{store=\"\x1b[2J$(reboot)\u202e\"} 0\n"
	for _, name := range append([]string{"web-0; reboot", "-rf", "../x", "UPPER"}, hidden...) {
		a.waits("shop", name, "planted-message-of-a-name-that-no-pod-has")
	}
	a.waits("shop", "web-1", "desc = said \x1b]0;title\x07\u202e\nok       pods  no pod waits")
	code, stdout, stderr := runLanyard("doctor", "--kubeconfig", a.start())
	if code != exitFailed || strings.Contains(stdout, "of-a-name-that-no-pod-has") || !strings.Contains(stdout, "pod shop/web-1") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	if strings.ContainsFunc(stdout, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) || regexp.MustCompile(`(?m)^ok +pods`).MatchString(stdout) {
		t.Errorf("%q", stdout)
	}
}

// waits adds a pod that waits for a class of Lanyard's, and its event.
func (a *doctorAPI) waits(namespace, name, message string) {
	a.objects = append(a.objects, map[string]any{
		"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": "e", "namespace": namespace}, "reason": "FailedMount", "lastTimestamp": "2026-01-01T00:00:00Z",
		"involvedObject": map[string]any{"kind": "Pod", "namespace": namespace, "name": name}, "message": message,
	}, map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": namespace}, "status": map[string]any{"phase": "Pending"},
		"spec": map[string]any{"containers": []any{}, "volumes": []any{map[string]any{"name": "s", "csi": map[string]any{"driver": driverName, "volumeAttributes": map[string]any{"secretProviderClass": "web"}}}}},
	})
}
