package inject

import (
	"slices"
	"strings"
)

// checkKnown refuses annotations of Lanyard's that nobody knows.
func (b *builder) checkKnown() {
	for _, name := range sortedKeys(b.pod.Annotations) {
		if strings.HasPrefix(name, prefix) && !slices.Contains(ownNames(), name) && !ofOthers(name) {
			b.problem("%s: there is no such annotation of pods; remove it or correct its name%s", shown(name), didYouMean(name, ownNames()))
		}
	}
}

// ofOthers says whether an annotation belongs to another part of Lanyard, or is one that the
// webhook itself writes.
func ofOthers(name string) bool {
	return slices.ContainsFunc(elsewhere, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// checkOnlyFor refuses annotations that have no effect on a pod that asks for something
// else.
func (b *builder) checkOnlyFor(r request) {
	for _, a := range Annotations {
		if _, ok := b.annotation(a.Name); !ok {
			continue
		}
		switch {
		case strings.HasPrefix(a.Meaning, "`env`:") && !r.env:
			b.problem("%s: has no effect with %s: %s; remove it or write %s", a.Name, Inject, modeFiles, modeEnv)
		case strings.HasPrefix(a.Meaning, "`agent`:") && !r.agent:
			b.problem("%s: has no effect without %s: agent; remove it or add that", a.Name, modeKey)
		}
	}
}

// checkEnvFile refuses what a file of variables cannot do.
func (b *builder) checkEnvFile(r request) {
	if !r.agent {
		b.problem("%s: has no effect without %s: agent; remove it or add that", envFileKey, modeKey)
	}
	if text, _ := b.annotation(envKey); len(list(text)) == 0 {
		b.problem("%s: is missing; with %s each variable is named", envKey, envFileKey)
	}
	for _, key := range []string{envAllKey, watchKey, wrapProbesKey, agentKey, notifySignalKey, notifyProcessKey, notifyURLKey} {
		if _, ok := b.annotation(key); ok {
			b.problem("%s: has no effect with %s; remove one of the two", key, envFileKey)
		}
	}
}

// checkAgent checks what only pods with an agent say.
func (b *builder) checkAgent(r request) {
	if !r.agent {
		return
	}
	text, ok := b.annotation(agentKey)
	if ok && text != "follow" && text != "once" {
		b.problem("%s: must be follow or once, not %s", agentKey, shown(text))
	}
	audiences := b.Audiences
	if text, ok := b.annotation(audiencesKey); ok {
		audiences = list(text)
	}
	if len(audiences) == 0 {
		b.problem("%s: is missing; name the audiences of the tokens that the stores of the class want, such as vault", audiencesKey)
	}
	for _, audience := range audiences {
		if strings.ContainsAny(audience, "=\n") {
			b.problem("%s: %s is no audience", audiencesKey, shown(audience))
		}
	}
	signal, process := b.pod.Annotations[notifySignalKey], b.pod.Annotations[notifyProcessKey]
	switch {
	case (signal == "") != (process == ""):
		b.problem("%s and %s: give both, the signal and the process that gets it", notifySignalKey, notifyProcessKey)
	case signal != "" && (b.pod.Spec.ShareProcessNamespace == nil || !*b.pod.Spec.ShareProcessNamespace):
		b.problem("%s: a container sees no process of another; set shareProcessNamespace: true in the pod's spec", notifySignalKey)
	}
	if text, ok := b.annotation(notifyURLKey); ok && !isLoopback(text) {
		b.problem("%s: must be a URL of the pod's own loopback, such as http://127.0.0.1:8080/reload, not %s", notifyURLKey, shown(text))
	}
}
