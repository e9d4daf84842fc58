package sync

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// bring reads what the object asks for and writes its Secrets. Each Secret is written
// whole or not at all; one that cannot be written keeps none of the others.
func (r *Reconciler) bring(ctx context.Context, want *Want, s *state) *Outcome {
	outcome := &Outcome{Now: r.shared.Now(), Problem: want.Problem}
	var problems []*Problem
	if want.Problem == nil && len(want.Secrets) > 0 {
		problems = r.write(ctx, want, s, outcome)
	}
	if want.Problem == nil && len(problems) == 0 {
		// A Secret that another takes the place of stays until that one is there.
		problems = r.clear(ctx, want, s, outcome)
	}
	if len(problems) > 0 {
		outcome.Problem = joined(problems)
	}
	if p := outcome.Problem; p != nil {
		outcome.Problem = &Problem{p.Reason, message.Cut(p.Text, maxText)}
	}
	outcome.Written = map[string]Written{}
	for name, w := range s.secrets {
		if w.digest != "" {
			outcome.Written[name] = Written{Digest: w.digest, Refresh: w.refresh}
		}
	}
	return outcome
}

// denialsBelieved is how many refusals in a row, for want of a right, are believed; fewer may
// come from roles that are being changed.
const denialsBelieved = 3

// refused is the Problem of a Secret that was not written or removed.
func (o *Outcome) refused(secret string, err error, s *state) *Problem {
	if unanswered(err) || withoutRight(err) && s.failed < denialsBelieved {
		o.unanswered = err
	}
	return problemOf(secret, err)
}

// joined are all problems as one, under the reason of the first.
func joined(problems []*Problem) *Problem {
	all := &Problem{Reason: problems[0].Reason}
	for i, p := range problems {
		if i > 0 {
			all.Text += "; "
		}
		all.Text += p.Text
	}
	return all
}

// held is how many Secrets the object has once all that it asks for are written.
func (s *state) held(want *Want) int {
	n := len(s.secrets)
	for _, secret := range want.Secrets {
		if s.secrets[secret.Name] == nil {
			n++
		}
	}
	return n
}

// write reads the class and writes the Secrets.
func (r *Reconciler) write(ctx context.Context, want *Want, s *state, outcome *Outcome) []*Problem {
	if n := s.held(want); n > MaxHeld {
		return []*Problem{{ReasonInput, fmt.Sprintf("with those that it does not ask for any more and that are not removed yet, it would have %d Secrets; it may have %d, so ask for fewer until they are", n, MaxHeld)}}
	}
	var problems []*Problem
	for _, secret := range want.Secrets {
		if !slices.Contains(r.settings.SecretTypes, secret.Type) {
			problems = append(problems, &Problem{ReasonPolicy, fmt.Sprintf("Secret %s: Lanyard may not write the type %s; it may write %s (--secret-types)",
				message.Printable(secret.Name), message.Printable(secret.Type), strings.Join(r.settings.SecretTypes, ", "))})
		}
	}
	if len(problems) > 0 {
		return problems
	}
	account, err := r.account(ctx, want)
	if err != nil {
		return []*Problem{{ReasonInput, err.Error()}}
	}
	var delivery engine.Delivery
	defer delivery.Done()
	volume, err := r.settings.Engine.Mount(ctx, engine.Request{
		Dialect: want.Provider, Class: want.class(), Parameters: want.Parameters, Repeated: true, NotBefore: s.refreshChanged, Delivery: &delivery,
		Identity: identity.Identity{Namespace: want.Namespace, ServiceAccount: want.ServiceAccount, ServiceAccountUID: account, PodUID: string(want.Owner.UID)},
	})
	if err != nil {
		return []*Problem{{ReasonProvider, err.Error()}}
	}
	files := filesOf(volume)
	for _, secret := range want.Secrets {
		if p := r.writeOne(ctx, want, s, outcome, secret, files); p != nil {
			problems = append(problems, p)
		}
	}
	return problems
}

// account is the UID of the service account.
func (r *Reconciler) account(ctx context.Context, want *Want) (string, error) {
	account := meta.PartialObjectMetadata{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}}
	err := r.shared.Accounts.Get(ctx, types.NamespacedName{Namespace: want.Namespace, Name: want.ServiceAccount}, &account)
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("there is no service account %s in namespace %s", message.Printable(want.ServiceAccount), message.Printable(want.Namespace))
	}
	return string(account.UID), err
}

// writeOne writes a Secret if it is not as it should be, or was not looked at for long.
func (r *Reconciler) writeOne(ctx context.Context, want *Want, s *state, outcome *Outcome, secret Secret, files *files) *Problem {
	holds, wrong := contentOf(secret, files)
	if len(wrong) > 0 {
		return &Problem{ReasonInput, fmt.Sprintf("Secret %s: %s", message.Printable(secret.Name), strings.Join(wrong, "; "))}
	}
	sum, err := digest(want.Owner.UID, secret, holds)
	if err != nil {
		return &Problem{ReasonInternal, err.Error()}
	}
	before := s.secrets[secret.Name]
	if before == nil {
		before = &written{}
	}
	same := before.digest == sum && before.refresh == want.Refresh
	if before.at.IsZero() && same {
		// Another process wrote it; somewhen in the interval it is looked at.
		before.at = outcome.Now.Add(-time.Duration(rand.Int64N(int64(r.settings.DriftInterval))))
		r.changed(want.Namespace, secret.Name, holds.versions)
	}
	if same && outcome.Now.Sub(before.at) < r.settings.DriftInterval {
		return nil
	}
	object, err := secret.object(want, holds)
	if err != nil {
		return &Problem{ReasonInternal, err.Error()}
	}
	uid, created, err := r.shared.Writer.Write(ctx, object, before.uid, before.digest == "", want.Adopt)
	if err != nil {
		r.shared.Metrics.writes.WithLabelValues("failed").Inc()
		r.note(want, audit.SecretWrite, secret.Name, "", err)
		return outcome.refused(secret.Name, err, s)
	}
	change := "same"
	switch {
	case created:
		change = "created"
		outcome.Created = append(outcome.Created, secret.Name)
	case before.digest != sum:
		change = "changed"
		outcome.Changed = append(outcome.Changed, secret.Name)
		// A value that is older than the last look was there before: it is the object that
		// says something else now.
		if files.made.After(s.success) && !s.success.IsZero() {
			r.shared.Metrics.change.Observe(outcome.Now.Sub(files.made).Seconds())
		}
	}
	r.shared.Metrics.writes.WithLabelValues(change).Inc()
	r.note(want, audit.SecretWrite, secret.Name, change, nil)
	if before.digest != sum {
		r.changed(want.Namespace, secret.Name, holds.versions)
	}
	s.secrets[secret.Name] = &written{uid: uid, digest: sum, refresh: want.Refresh, at: outcome.Now}
	return nil
}

// clear removes the Secrets that the object does not ask for any more.
func (r *Reconciler) clear(ctx context.Context, want *Want, s *state, outcome *Outcome) (problems []*Problem) {
	for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
		if slices.ContainsFunc(want.Secrets, func(secret Secret) bool { return secret.Name == name }) {
			continue
		}
		removed, err := r.shared.Writer.Remove(ctx, want.Namespace, name, want.Owner.UID)
		if removed || err != nil {
			r.note(want, audit.SecretRemove, name, "removed", err)
		}
		if err != nil {
			problems = append(problems, outcome.refused(name, err, s))
			continue
		}
		delete(s.secrets, name)
		r.changed(want.Namespace, name, nil)
		if removed {
			outcome.removed = append(outcome.removed, name)
		}
	}
	return problems
}
