package inject

import (
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// A slip in the annotation that opts a pod in leaves the pod without its secrets, and nothing
// else says so. These warnings are for every pod, whether it asks for anything or not.

// optIns are the annotations that opt pods in.
var optIns = []string{Inject, vaultPrefix + vaultInject}

// known are the annotations that the table answers, with the prefix.
func (t Table) known(before string) []string {
	var names []string
	for _, a := range t.Answers {
		names = append(names, before+a.Name)
	}
	return names
}

// ownNames are the annotations of pods in Lanyard's own dialect.
func ownNames() []string {
	var names []string
	for _, a := range Annotations {
		names = append(names, a.Name)
	}
	return names
}

// Concerns says whether an annotation is one that pods ask for secrets with, in any dialect.
func Concerns(name string) bool {
	return slices.Contains(ownNames(), name) || slices.ContainsFunc(Tables, func(t Table) bool {
		return slices.ContainsFunc(t.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	})
}

// didYouMean names the annotation that was likely meant.
func didYouMean(name string, known []string) string {
	for _, begin := range known {
		// Before the name of a secret there are as many hyphens as there are to be.
		words := strings.SplitAfter(name, "-")
		hyphens := strings.Count(begin, "-")
		if !strings.HasSuffix(begin, "-") || len(words) <= hyphens {
			continue
		}
		written := strings.Join(words[:hyphens], "")
		if more := len(written) - len(begin); more >= -2 && more <= 2 && strict.Nearest(written, []string{begin}) != "" {
			return "; did you mean " + begin + "NAME?"
		}
	}
	if nearest := strict.Nearest(name, known); nearest != "" && !strings.HasSuffix(nearest, "-") {
		return "; did you mean " + nearest + "?"
	}
	return ""
}

// lint warns of annotations that nobody knows, and of those that have no effect because
// the one that opts the pod in is missing. asked are the dialects in which the pod asks.
func (b *builder) lint(requested []string) {
	for _, name := range sortedKeys(b.pod.Annotations) {
		if domain, _, ok := strings.Cut(name, "/"); ok && !foreign(domain+"/") {
			continue
		}
		if nearest := strict.Nearest(name, optIns); nearest != "" {
			b.warn("%s: is unknown and has no effect; did you mean %s?", shown(name), nearest)
		}
	}
	b.lintOwn(requested)
	for _, t := range Tables {
		if slices.Contains(b.Dialects, t.Dialect) {
			b.lintTable(t, requested)
		}
	}
}

// foreign says that no dialect has annotations with the domain.
func foreign(domain string) bool {
	return domain != prefix && !slices.ContainsFunc(Tables, func(t Table) bool { return slices.Contains(t.Prefixes, domain) })
}

// lintOwn warns of annotations of Lanyard's own dialect. Those of a pod that asks in it are
// refused; see checkKnown.
func (b *builder) lintOwn(requested []string) {
	if _, decided := b.annotation(Inject); decided {
		return
	}
	var idle []string
	for _, name := range sortedKeys(b.pod.Annotations) {
		switch {
		case !strings.HasPrefix(name, prefix):
		case slices.Contains(ownNames(), name):
			// These two serve the references of other dialects too.
			if name != classKey && name != containersKey || len(requested) == 0 {
				idle = append(idle, name)
			}
		case name == Injected && len(requested) == 0:
			b.warn("%s: is written by the webhook, and asks for nothing; did you mean %s?", name, Inject)
		case !ofOthers(name):
			b.warn("%s: is unknown and has no effect%s", shown(name), didYouMean(name, ownNames()))
		}
	}
	if len(idle) > 0 {
		b.warn("%s: %s no effect without %s: files or env", strings.Join(idle, ", "), plural(len(idle), "has", "have"), Inject)
	}
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// lintTable warns of annotations of another webhook.
func (b *builder) lintTable(t Table, requested []string) {
	if len(t.Prefixes) == 0 || t.Dialect == BankVaults && b.skipped() {
		return
	}
	wants := slices.Contains(requested, t.Dialect)
	_, decided := b.annotation(vaultPrefix + vaultInject)
	if t.Dialect == VaultAgent && decided && !wants {
		return // opted out, or injected by the original
	}
	some := false
	for _, name := range sortedKeys(b.pod.Annotations) {
		at := slices.IndexFunc(t.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if at < 0 {
			continue
		}
		p := t.Prefixes[at]
		if _, known := t.of(name[len(p):]); known {
			some = true
			continue
		}
		b.warn("%s: is unknown and has no effect%s", shown(name), didYouMean(name, t.known(p)))
	}
	if t.Dialect == VaultAgent && some && !wants {
		b.warn("%s%s: is missing, without which annotations of %s have no effect", vaultPrefix, vaultInject, strings.TrimSuffix(vaultPrefix, "/"))
	}
}
