package restart

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Lanyard's own annotations of workloads.
const (
	onAnnotation     = "lanyard.dev/restart-on"
	windowAnnotation = "lanyard.dev/restart-window"
	afterAnnotation  = "lanyard.dev/restart-after"
)

// Reloader's annotations of workloads that are understood, with the meaning that
// its reference and its matcher give them.
// https://docs.stakater.com/reloader/1.4/reference/annotations.html
// https://github.com/stakater/Reloader/blob/f48c5ac1b3f8c0bc9850533175f91b727d04ccb1/internal/pkg/reload/matcher.go
const (
	reloaderAuto          = "reloader.stakater.com/auto"
	reloaderIgnore        = "reloader.stakater.com/ignore"
	reloaderPeriod        = "deployment.reloader.stakater.com/pause-period"
	reloaderClassAuto     = "secretproviderclass.reloader.stakater.com/auto"
	reloaderClassNames    = "secretproviderclass.reloader.stakater.com/reload"
	reloaderClassExclude  = "secretproviderclasses.exclude.reloader.stakater.com/reload"
	reloaderSecretAuto    = "secret.reloader.stakater.com/auto"
	reloaderSecretNames   = "secret.reloader.stakater.com/reload"
	reloaderSecretExclude = "secrets.exclude.reloader.stakater.com/reload"
)

// optIns are the annotations of which a workload has one if it wants anything.
var optIns = []string{onAnnotation, reloaderAuto, reloaderClassAuto, reloaderClassNames, reloaderSecretAuto, reloaderSecretNames}

// understood are all annotations that say something here.
var understood = append(slices.Clone(optIns), windowAnnotation, afterAnnotation, reloaderIgnore, reloaderPeriod, reloaderClassExclude, reloaderSecretExclude)

const (
	// defaultAfter is how long a change is let alone, so that others that belong to
	// it are rolled out with it.
	defaultAfter = 30 * time.Second
	// maxAfter bounds what a workload may ask for, so that a typing error shows.
	maxAfter = 24 * time.Hour
	// maxAnnotation bounds the bytes of each annotation that people write.
	maxAnnotation = 8 << 10
	// maxNames bounds the names of one annotation, and maxName the length of each.
	maxNames = 64
	maxName  = 253
	// maxCost bounds what the expressions of one annotation take together, in about the
	// instructions that they are compiled to. That of web-[0-9]{3}.* is about 20.
	maxCost = 1000
	// maxMatching bounds what it takes to match a workload's expressions in each pass, in
	// instructions times bytes of the names: some milliseconds.
	maxMatching = 2_000_000
)

// policy is what the annotations of a workload ask for.
type policy struct {
	all      map[kind]bool             // every class or Secret that the workload uses
	plain    map[kind][]string         // those of a name
	named    map[kind][]*regexp.Regexp // those with such names
	excluded map[kind][]string         // and never those
	cost     map[kind]int              // of those expressions
	after    time.Duration
	period   time.Duration // at least that long between two rollouts
	window   *window       // nil for the operator's
}

// annotationsOf are the annotations that count: the workload's, or those of its pod
// template if the workload itself has none that opts in. They are not merged.
func annotationsOf(workload, template map[string]string) map[string]string {
	if !optedIn(workload) && optedIn(template) {
		return template
	}
	return workload
}

// optedIn says whether annotations ask for anything. What they ask for may be wrong,
// or nothing.
func optedIn(annotations map[string]string) bool {
	return slices.ContainsFunc(optIns, func(key string) bool { _, ok := annotations[key]; return ok })
}

// parsePolicy reads annotations that opt in. Whoever has problems gets no rollout. All
// of it is written by people whom nobody here trusts, so each thing is bounded before it
// is done.
func parsePolicy(annotations map[string]string) (p policy, problems []string) {
	p = policy{all: map[kind]bool{}, plain: map[kind][]string{}, named: map[kind][]*regexp.Regexp{}, excluded: map[kind][]string{}, cost: map[kind]int{}, after: defaultAfter}
	wrong := func(key, want string) {
		problems = append(problems, fmt.Sprintf("%s: %q: %s", key, message.Printable(annotations[key]), want))
	}
	for _, key := range understood {
		if len(annotations[key]) > maxAnnotation {
			wrong(key, fmt.Sprintf("is longer than %d bytes", maxAnnotation))
		}
	}
	if len(problems) > 0 {
		return p, problems
	}
	isTrue := func(key string) bool {
		switch annotations[key] {
		case "true":
			return true
		case "false", "":
		default:
			wrong(key, `want "true" or "false"`)
		}
		return false
	}
	every := func(key string, kinds ...kind) {
		if isTrue(key) {
			for _, k := range kinds {
				p.all[k] = true
			}
		}
	}
	every(reloaderAuto, kindClass, kindSecret)
	every(reloaderClassAuto, kindClass)
	every(reloaderSecretAuto, kindSecret)
	list := func(key string) []string {
		found := names(annotations[key])
		if len(found) > maxNames {
			wrong(key, fmt.Sprintf("has more than %d names", maxNames))
			return nil
		}
		return found
	}
	for k, key := range map[kind]string{kindClass: reloaderClassNames, kindSecret: reloaderSecretNames} {
		left := maxCost
		for _, name := range list(key) {
			undotted := strings.ReplaceAll(name, ".", "")
			if len(name) <= maxName && regexp.QuoteMeta(undotted) == undotted {
				p.plain[k] = append(p.plain[k], name)
				continue
			}
			expression := "^(?:" + name + ")$"
			parsed, err := parseExpression(expression)
			if err != nil {
				wrong(key, fmt.Sprintf("%q is no name, and no expression for names", message.Printable(name)))
				continue
			}
			if left -= cost(parsed); left < 0 {
				wrong(key, "its expressions are too large together; repeat less, or write fewer")
				break
			}
			p.named[k] = append(p.named[k], regexp.MustCompile(expression))
			p.cost[k] += cost(parsed)
		}
	}
	p.excluded[kindClass], p.excluded[kindSecret] = list(reloaderClassExclude), list(reloaderSecretExclude)
	p.after = duration(annotations, afterAnnotation, defaultAfter, wrong)
	p.period = duration(annotations, reloaderPeriod, 0, wrong)
	if text, ok := annotations[windowAnnotation]; ok {
		parsed, err := parseWindow(text)
		if err != nil {
			wrong(windowAnnotation, err.Error())
		}
		p.window = &parsed
	}
	on, own := annotations[onAnnotation]
	switch {
	case !own:
	case on == "change":
		p.all[kindClass], p.all[kindSecret] = true, true
	case on != "none" && on != "off":
		wrong(onAnnotation, `want "change", "none" or "off"`)
	}
	if on == "none" || on == "off" || isTrue(reloaderIgnore) {
		p.all, p.plain, p.named = nil, nil, nil
	}
	slices.Sort(problems)
	return p, slices.Compact(problems)
}

// parseExpression parses an expression for names, without compiling it. Expressions of
// Unicode's classes and of other characters than those of names would take much more
// than their length says, and match no name.
func parseExpression(text string) (*syntax.Regexp, error) {
	other := strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
	if len(text) > maxName+len("^(?:)$") || other || strings.Contains(text, `\p`) || strings.Contains(text, `\P`) || strings.Contains(text, `\x`) {
		return nil, errors.New("is no expression for names")
	}
	return syntax.Parse(text, syntax.Perl)
}

// cost is what an expression takes when it is compiled, which writes repetitions out.
// Those within each other make at most 1000 together, or they are not parsed.
func cost(e *syntax.Regexp) int {
	sum := 1 + len(e.Rune)
	for _, sub := range e.Sub {
		sum += cost(sub)
	}
	if e.Op == syntax.OpRepeat {
		sum *= max(1, e.Min, e.Max)
	}
	return sum
}

// duration reads the duration of an annotation, such as 30s.
func duration(annotations map[string]string, key string, otherwise time.Duration, wrong func(key, want string)) time.Duration {
	text, ok := annotations[key]
	if !ok {
		return otherwise
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < 0 || parsed > maxAfter {
		wrong(key, "want a duration of up to 24h, such as 30s")
	}
	return parsed
}

// names are the names of a list with commas between them.
func names(list string) []string {
	var found []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			found = append(found, name)
		}
	}
	return found
}

// wants says whether the workload is to be rolled out for a source, and whether only
// if its pod template uses it.
func (p policy) wants(s source) (wanted, ifUsed bool) {
	switch {
	case slices.Contains(p.excluded[s.kind], s.name):
		return false, false
	case slices.ContainsFunc(p.plain[s.kind], func(name string) bool { return isName(name, s.name) }), slices.ContainsFunc(p.named[s.kind], func(name *regexp.Regexp) bool { return name.MatchString(s.name) }):
		return true, false
	}
	return p.all[s.kind], true
}

// isName says whether a name is a plain one, in which a dot stands for any character, as
// in an expression. Names often have dots, and would be large expressions.
func isName(plain, name string) bool {
	if len(plain) != len(name) {
		return false
	}
	for i := range len(plain) {
		if plain[i] != '.' && plain[i] != name[i] {
			return false
		}
	}
	return true
}
