package engine

import (
	"context"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// trace is what the record of a delivery and Facts need of its mount. A nil trace is of
// a mount for neither.
type trace struct {
	answers  []answer // that the volume was made of
	mount    uint64   // the number of the mount
	identity identityHandle
	outline  *outline
	objects  audit.Objects
}

// uses notes the values that a volume was made of.
func (t *trace) uses(answers []answer) {
	if t != nil {
		t.answers = answers
	}
}

// delivers notes the objects of a volume while the plan is held.
func (t *trace) delivers(a scope, p *plan, volume *Volume) {
	inMemory := true
	for _, ans := range t.answers {
		inMemory = inMemory && ans.reading.mount != a.mount
	}
	if inMemory {
		if known := volume.fromCache.Load(); known != nil {
			t.objects = *known
			return
		}
	}
	absences := map[string]bool{}
	for _, absence := range volume.Absent {
		absences[absence.ID] = true
	}
	versions := make(map[string]string, len(volume.Versions))
	for _, v := range volume.Versions {
		versions[v.ID] = v.Version
	}
	all := make([]audit.Object, len(p.objects))
	for i := range p.objects {
		o := &p.objects[i]
		all[i] = audit.Object{Object: o.ID(), FileVersion: versions[o.ID()], From: audit.FromTemplate}
		if o.source >= 0 {
			s := p.sources[o.source]
			all[i].Store, all[i].Key, all[i].Version = s.name, s.auditKey(), o.Version
			all[i].From = audit.FromCache
			ans := t.answers[o.source]
			all[i].StoreVersion = ans.held().value.Version
			if ans.reading.mount == a.mount {
				all[i].From = audit.FromStore
			}
		}
		if absences[o.ID()] {
			all[i].From = audit.FromAbsent
		}
		if absences[o.ID()] || all[i].StoreVersion != "" {
			all[i].FileVersion = "" // a third of a record, and nothing new
		}
	}
	t.objects = audit.ObjectsOf(all)
	if inMemory {
		objects := t.objects
		volume.fromCache.Store(&objects)
	}
}

// auditKey is the key at the store. That of a sealed value, which alone is bound to an
// object, is its ciphertext, and no record has it.
func (s *source) auditKey() string {
	if s.ref.Object != "" {
		return ""
	}
	return s.ref.Key
}

// record records that a volume is delivered, or why it is not. Where the operator requires
// records, a volume without one is not.
func (e *Engine) record(ctx context.Context, end time.Time, req Request, of *trace, volume *Volume, err error) (*Volume, error) {
	record := recordFor(audit.Delivery, req.Identity, err)
	record.Class, record.Dialect, record.Objects = req.Class, req.Dialect, of.objects
	if err != nil {
		e.audit.Note(&record)
		return nil, err
	}
	if e.audit.Required() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	if err := e.audit.Record(ctx, &record); err != nil {
		return nil, &MountError{Kind: kindOf(err), Text: message.Cut(trimUnavailable(err), maxText)}
	}
	return volume, nil
}

// trimUnavailable drops the kind's own words from the front of an error's text.
func trimUnavailable(err error) string {
	return strings.TrimPrefix(err.Error(), kindOf(err).Error()+": ")
}

// recordFor is a record of what was done for a pod.
func recordFor(event audit.Event, as identity.Identity, err error) audit.Record {
	r := audit.Record{
		Event: event, Result: resultOf(err),
		Cluster: as.Cluster, Namespace: as.Namespace, ServiceAccount: as.ServiceAccount, Pod: as.Pod, PodUID: as.PodUID,
	}
	if err != nil {
		r.Cause = message.Cut(err.Error(), maxText)
	}
	return r
}

func resultOf(err error) string {
	if err == nil {
		return audit.OK
	}
	return resultLabel(err)
}

// noteRead records one read at a store.
func (c *cache) noteRead(a scope, s *source, result store.Result) {
	if !c.audit.On() {
		return
	}
	record := recordFor(audit.Read, a.as, result.Err)
	record.Store, record.StoreType, record.Key, record.Version = s.name, s.connection.typeName, s.auditKey(), s.ref.Version
	record.StoreVersion = result.Value.Version
	c.audit.Note(&record)
}

// noteLogin records one login, which was made for the call of ctx.
func (c *cache) noteLogin(ctx context.Context, login remote.Login) {
	if !c.audit.On() {
		return
	}
	as := login.Identity
	record := audit.Record{
		Event: audit.Login, Result: resultOf(login.Err), Cluster: as.Cluster, Namespace: as.Namespace, ServiceAccount: as.ServiceAccount,
		Store: remote.StoreOf(ctx), StoreType: login.StoreType, Method: login.Method,
	}
	if login.Err != nil {
		record.Cause = message.Excerpt(login.Err.Error())
	}
	c.audit.Note(&record)
}

// renewalOf is what the records of a lease's renewals say but for their outcome.
func renewalOf(as identity.Key, pod string, s *source) audit.Record {
	return audit.Record{
		Event: audit.Renew, Cluster: as.Cluster, Namespace: as.Namespace, ServiceAccount: as.ServiceAccount, PodUID: strings.TrimPrefix(pod, "pod "),
		Store: s.name, StoreType: s.connection.typeName, Key: s.auditKey(), Version: s.ref.Version,
	}
}

// noteRenewal records one renewal of a lease at its store.
func (c *cache) noteRenewal(l *lease, err error) {
	if !c.audit.On() {
		return
	}
	record := l.of
	if record.Result = resultOf(err); err != nil {
		record.Cause = message.Excerpt(err.Error())
	}
	c.audit.Note(&record)
}
