package restart

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAnnotationsSayWhatAWorkloadIsRestartedFor(t *testing.T) {
	type m = map[string]string
	class, other, secret := source{kindClass, "web"}, source{kindClass, "other"}, source{kindSecret, "web"}
	for name, test := range map[string]struct {
		annotations m
		want        []source // of those above, where the template uses all
	}{
		"change":                           {m{onAnnotation: "change"}, []source{class, other, secret}},
		"none":                             {m{onAnnotation: "none"}, nil},
		"off wins over Reloader's":         {m{onAnnotation: "off", reloaderAuto: "true"}, nil},
		"auto":                             {m{reloaderAuto: "true"}, []source{class, other, secret}},
		"auto false alone":                 {m{reloaderAuto: "false"}, nil},
		"auto false leaves the others":     {m{reloaderAuto: "false", reloaderClassAuto: "true"}, []source{class, other}},
		"classes":                          {m{reloaderClassAuto: "true"}, []source{class, other}},
		"Secrets":                          {m{reloaderSecretAuto: "true"}, []source{secret}},
		"a class by name":                  {m{reloaderClassNames: "web"}, []source{class}},
		"classes by name":                  {m{reloaderClassNames: " other , web,"}, []source{class, other}},
		"a class by expression":            {m{reloaderClassNames: "o.*"}, []source{other}},
		"dots stand for any character":     {m{reloaderClassNames: "w.b,x.y,..x"}, []source{class}},
		"an expression is the whole name":  {m{reloaderClassNames: "othe"}, nil},
		"a Secret by name":                 {m{reloaderSecretNames: "web"}, []source{secret}},
		"all but a class":                  {m{onAnnotation: "change", reloaderClassExclude: "other"}, []source{class, secret}},
		"all but a Secret":                 {m{reloaderAuto: "true", reloaderSecretExclude: "x,web"}, []source{class, other}},
		"excluding wins over naming":       {m{reloaderClassNames: "web", reloaderClassExclude: "web"}, nil},
		"no expressions in what is not":    {m{reloaderClassAuto: "true", reloaderClassExclude: "o.*"}, []source{class, other}},
		"an ignored workload":              {m{reloaderAuto: "true", reloaderIgnore: "true"}, nil},
		"ConfigMaps are somebody else's":   {m{"configmap.reloader.stakater.com/auto": "true"}, nil},
		"search without match is not auto": {m{"reloader.stakater.com/search": "true"}, nil},
	} {
		p, problems := parsePolicy(test.annotations)
		if len(problems) > 0 {
			t.Errorf("%s: %q", name, problems)
		}
		for _, s := range []source{class, other, secret} {
			if wanted, _ := p.wants(s); wanted != slices.Contains(test.want, s) {
				t.Errorf("%s: %s is wanted: %t", name, s, wanted)
			}
		}
	}
	p, _ := parsePolicy(m{reloaderSecretNames: "web", reloaderAuto: "true"})
	if _, ifUsed := p.wants(secret); ifUsed {
		t.Error("a Secret that is named counts only if it is used")
	}
	if _, ifUsed := p.wants(source{kindSecret, "x"}); !ifUsed {
		t.Error("every Secret of the namespace counts")
	}
}

func TestAnnotationsOfTheTemplateCountIfTheWorkloadHasNone(t *testing.T) {
	workload, template := map[string]string{reloaderClassAuto: "false"}, map[string]string{onAnnotation: "change"}
	if got := annotationsOf(nil, template); got[onAnnotation] != "change" {
		t.Errorf("the template's: %v", got)
	}
	if got := annotationsOf(workload, template); got[onAnnotation] != "" {
		t.Errorf("the workload's: %v", got)
	}
	if optedIn(map[string]string{windowAnnotation: "02:00-04:00", afterAnnotation: "1m"}) {
		t.Error("a window alone opts in")
	}
}

func TestWrongAnnotationsAreToldAllAtOnce(t *testing.T) {
	_, problems := parsePolicy(map[string]string{
		onAnnotation: "changes", reloaderAuto: "yes", reloaderClassNames: "web,(", reloaderSecretNames: strings.Repeat("a,", maxNames+1),
		windowAnnotation: "night", afterAnnotation: "30", reloaderPeriod: "-5m", reloaderIgnore: "1",
	})
	for _, want := range []string{onAnnotation, reloaderAuto, reloaderClassNames, reloaderSecretNames, windowAnnotation, afterAnnotation, reloaderPeriod, reloaderIgnore} {
		if !slices.ContainsFunc(problems, func(text string) bool { return strings.HasPrefix(text, want+": ") }) {
			t.Errorf("%s is not told in %q", want, problems)
		}
	}
	p, problems := parsePolicy(map[string]string{onAnnotation: "change", afterAnnotation: "0s", reloaderPeriod: "5m", windowAnnotation: "Mon 01:00-02:00"})
	if len(problems) > 0 || p.after != 0 || p.period != 5*time.Minute || p.window == nil {
		t.Errorf("%+v, %q", p, problems)
	}
	if p, _ := parsePolicy(map[string]string{onAnnotation: "change"}); p.after != defaultAfter || p.window != nil {
		t.Errorf("defaults: %+v", p)
	}
}

func TestOptionsHaveDefaultsAndBounds(t *testing.T) {
	o, open, err := Options{}.withDefaults()
	if err != nil || o.MaxInCluster != 10 || o.MaxInNamespace != 3 || o.PauseAfterFailure != 10*time.Minute || o.ReadyTimeout != 10*time.Minute || len(open.parts) != 0 {
		t.Errorf("%+v, %v, %v", o, open, err)
	}
	o, open, err = Options{MaxInCluster: 1, MaxInNamespace: 2, PauseAfterFailure: 3, ReadyTimeout: 4, Window: "02:00-04:00"}.withDefaults()
	if err != nil || o.MaxInCluster != 1 || o.MaxInNamespace != 2 || o.PauseAfterFailure != 3 || o.ReadyTimeout != 4 || len(open.parts) != 1 {
		t.Errorf("%+v, %v, %v", o, open, err)
	}
	_, _, err = Options{MaxInCluster: -1, MaxInNamespace: -1, PauseAfterFailure: -1, ReadyTimeout: -1, Window: "night"}.withDefaults()
	for _, want := range []string{"MaxInCluster", "MaxInNamespace", "PauseAfterFailure", "ReadyTimeout", "window"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s: %v", want, err)
		}
	}
}

// What an annotation may take is known before it is taken.
func TestHostileAnnotationsTakeLittle(t *testing.T) {
	times := strings.Repeat
	for name, annotations := range map[string]map[string]string{
		"a list of the largest size":        {reloaderSecretNames: times("(a{1000}),", 26<<10)},
		"a name of the largest size":        {reloaderSecretNames: times("(.*)", 64<<10)},
		"nested repetitions":                {reloaderSecretNames: "(a{1000}){1000}"},
		"repetitions within the limit":      {reloaderSecretNames: "((a{10}){10}){10}"},
		"repetitions in a row":              {reloaderSecretNames: times("a{1000}", 36)},
		"repetitions of nothing":            {reloaderSecretNames: times("(){1000}", 31)},
		"repetitions of a class":            {reloaderSecretNames: times(`[\w.-]{1000}`, 20)},
		"many expressions":                  {reloaderClassNames: times("(a{100}),", 64)},
		"Unicode's classes":                 {reloaderClassNames: times(times(`\pL`, 84)+",", 32)},
		"their complements":                 {reloaderClassNames: times(times(`\PL`, 84)+",", 32)},
		"a class by name":                   {reloaderClassNames: times(times(`\p{Greek}`, 28)+",", 32)},
		"without case":                      {reloaderClassNames: times("(?i)"+times("[ -\U0010FFFF]", 20)+",", 32)},
		"without case, in other characters": {reloaderClassNames: times(`(?i)`+times(`[\x{0}-\x{10FFFF}]`, 13)+",", 32)},
		"without case, in octal":            {reloaderClassNames: times(`(?i)`+times(`[\000-\377]`, 24)+",", 32)},
		"many alternatives":                 {reloaderClassNames: times(times("ab|cd|", 42)+",", 32)},
		"deep brackets":                     {reloaderClassNames: times("(", 2000) + times(")", 2000)},
		"quoted":                            {reloaderClassNames: times(`\Qa`, 84)},
		"a long list to exclude":            {onAnnotation: "change", reloaderSecretExclude: times("a,", 128<<10)},
		"many names to exclude":             {onAnnotation: "change", reloaderClassExclude: times("a,", 4<<10)},
		"a long window":                     {onAnnotation: "change", windowAnnotation: times("01:00-02:00 Asia/Tokyo;", 10<<10)},
		"many parts of a window":            {onAnnotation: "change", windowAnnotation: times("01:00-02:00 Asia/Tokyo;", 44)},
		"a long time":                       {onAnnotation: "change", afterAnnotation: times("1ns", 80<<10)},
		"a long period":                     {onAnnotation: "change", reloaderPeriod: times("9", 250<<10)},
		"a long word":                       {onAnnotation: times("change", 40<<10)},
		"a long switch":                     {reloaderAuto: times("true", 60<<10), reloaderIgnore: times("x", 10<<10)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, problems := parsePolicy(annotations)
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 8<<20 {
			t.Errorf("%s takes %d KiB", name, taken>>10)
		}
		if len(problems) == 0 {
			t.Errorf("%s is taken", name)
		}
		if text := strings.Join(problems, ""); len(text) > 64<<10 {
			t.Errorf("%s: problems of %d bytes", name, len(text))
		}
	}
	names := make([]string, maxNames)
	for i := range names {
		names[i] = fmt.Sprint("db-", i)
	}
	for name, list := range map[string]string{
		"names": strings.Join(names, ","), "expressions": "web-[0-9]{3}.*,(?i)db-\\w+,a|b|c,.*", "a long name": times("a", maxName),
		"empty alternatives": times(times("|", maxName)+",", 32), "named groups": times("(?P<a>b)", 31), "no text": times("\xff", maxName),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, problems := parsePolicy(map[string]string{reloaderSecretNames: list, reloaderClassNames: list})
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; len(problems) > 0 || taken > 8<<20 {
			t.Errorf("%s: %q, %d KiB", name, problems, taken>>10)
		}
	}
}

func TestTheCacheKeepsNoLongAnnotation(t *testing.T) {
	all := map[string]string{}
	for _, key := range kept {
		all[key] = strings.Repeat("x", 20<<10)
	}
	pod := metadata("v1", "Pod")
	pod.Annotations = all
	if _, err := strip(pod); err != nil {
		t.Fatal(err)
	}
	for _, key := range understood {
		if n := len(pod.Annotations[key]); n != maxAnnotation+1 {
			t.Errorf("%d bytes of %s", n, key)
		}
	}
	if pod.Annotations[recordAnnotation] != "" || len(pod.Annotations[templateAnnotation]) != maxAnnotation+1 {
		t.Errorf("%d bytes of the record, %d of the template's", len(pod.Annotations[recordAnnotation]), len(pod.Annotations[templateAnnotation]))
	}
	if got := stripAnnotations(all)[recordAnnotation]; len(got) != 20<<10 {
		t.Errorf("%d bytes of a workload's record", len(got))
	}
}

// What matching takes is known before it is done: expressions that are fine for some
// Secrets are refused over many.
func TestExpressionsOverManySecretsAreBounded(t *testing.T) {
	some, many := map[string]written{}, map[string]written{}
	for i := range 1000 {
		name := fmt.Sprintf("web-%03d", i)
		many[name+strings.Repeat("x", 240)] = written{}
		if i < 90 {
			some[name] = written{}
		}
	}
	for _, test := range []struct {
		expressions string
		over        map[string]written
		refused     bool
	}{
		{"web-[0-9]{3}.*", some, false}, {"web-[0-9]{3}.*", many, true},
		{"(a|b){100}.*", some, false}, {"(a|b){150}.*", many, true}, {"web-000", many, false},
	} {
		f := &found{uses: map[source]bool{{kindSecret, "used"}: true}}
		f.policy, f.problems = parsePolicy(map[string]string{reloaderSecretNames: test.expressions, reloaderSecretAuto: "true"})
		f.watch(test.over)
		if refused := len(f.problems) > 0; refused != test.refused || refused != (f.readings == nil) {
			t.Errorf("%s over %d Secrets: %v, readings of %d", test.expressions, len(test.over), f.problems, len(f.readings))
		}
	}
}

func TestNamesWithDotsAreNoExpressions(t *testing.T) {
	names := strings.TrimSuffix(strings.Repeat("db.shop.example.internal.company.com,", maxNames), ",")
	p, problems := parsePolicy(map[string]string{reloaderSecretNames: names})
	if len(problems) > 0 || len(p.plain[kindSecret]) != maxNames || len(p.named[kindSecret]) != 0 {
		t.Errorf("%d plain names, %q", len(p.plain[kindSecret]), problems)
	}
}

func TestExpressionsOverAllThatAWorkloadNamesAreBounded(t *testing.T) {
	many := map[source]bool{}
	for i := range 10_000 {
		many[source{kindClass, strings.Repeat("w", 50) + strconv.Itoa(i)}] = true
	}
	recorded := &record{Versions: map[string]versions{}}
	for s := range many {
		recorded.Versions[s.String()] = versions{}
	}
	for name, f := range map[string]*found{
		"in its template": {uses: many},
		"in its record":   {uses: map[source]bool{}, workload: workload{record: recorded}},
	} {
		f.policy, _ = parsePolicy(map[string]string{reloaderClassNames: strings.Repeat(".*", 50) + "x"})
		f.watch(nil)
		if len(f.problems) != 1 || !strings.Contains(f.problems[0], "expressions are too large") || len(f.readings) != 0 {
			t.Errorf("%s: %q", name, f.problems)
		}
	}
	small := &found{uses: map[source]bool{web: true}}
	small.policy, _ = parsePolicy(map[string]string{reloaderClassNames: "w.*"})
	if small.watch(nil); len(small.problems) != 0 || len(small.readings) != 1 || small.policy.named != nil {
		t.Errorf("%q, %v, expressions kept: %t", small.problems, small.readings, small.policy.named != nil)
	}
}
