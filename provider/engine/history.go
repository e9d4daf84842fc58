package engine

import (
	"context"
	"errors"
	"sync"
	"unique"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// HistoryRequest asks for the versions that stores know of a class's objects.
type HistoryRequest struct {
	// Request is the class and the pod whose identity lists the versions.
	Request
	// Objects chooses among the class's objects by their place, from zero; nil takes all.
	Objects func(place int) bool
	// Published has the newest versions read too, to tell what pods show of each. That
	// needs the key of the installation (cache.versionKeyFile).
	Published bool
	// Progress, if set, is told how many secrets are done, of how many. Its calls do not
	// overlap.
	Progress func(done, total int)
}

// ObjectHistory is what is known of the versions of one object: a list of them, or why
// the object has none, or why they cannot be listed.
type ObjectHistory struct {
	// Object is the object as the class has it, and Number its place there, from one.
	Object spec.Object
	Number int
	// Versions are the newest first.
	Versions []ObjectVersion
	// Unversioned says why there can be no versions, and Failure why they cannot be
	// listed now, in the words of the class's dialect. Kind is that of the failure.
	Unversioned, Failure string
	Kind                 error
}

// ObjectVersion is one version of an object.
type ObjectVersion struct {
	store.VersionInfo
	// Published are the versions that pods show for a file of this one: by a class that
	// names no version, and by one that names this one. Empty if they are not known.
	Published []string
}

// The most calls at once of one History, and the most versions of one secret that it reads.
const (
	historyCalls = 8
	maxPublished = 20
)

// History lists the versions of the objects of a class, as the identity of a pod. What
// fails for one object does not hide the others. The error is a *MountError, of a class
// that cannot be used.
func (e *Engine) History(ctx context.Context, req HistoryRequest) ([]ObjectHistory, error) {
	r := e.current.Load()
	plan, err := e.plan(r, req.Identity.Namespace, nil, req.Dialect, req.Parameters)
	if err != nil {
		return nil, classError(err)
	}
	defer dropPlan(e.conns, plan)
	class, err := e.dialects[req.Dialect](req.Parameters)
	if err != nil {
		return nil, classError(err)
	}
	req.Identity.Cluster = r.config.Cluster
	h := history{plan: plan, stores: class.Stores, scope: scope{as: req.Identity, key: unique.Make(req.Identity.Key()), config: &r.config}, published: req.Published}
	if req.Published {
		if h.scope.keyed, err = e.versionKey(ctx, endOf(ctx, r.config.Bounds.MountTimeout), r); err != nil {
			return nil, err
		}
	}

	var found []ObjectHistory
	bySource := map[int][]int{} // indexes of found
	var sources []int
	for i := range plan.objects {
		o := &plan.objects[i]
		if req.Objects != nil && !req.Objects(i) {
			continue
		}
		one := ObjectHistory{Object: o.Object, Number: o.number}
		if err := h.hasVersions(o); err != nil {
			one.Unversioned = h.inWords(o, err)
		} else {
			if bySource[o.source] == nil {
				sources = append(sources, o.source)
			}
			bySource[o.source] = append(bySource[o.source], len(found))
		}
		h.objects = append(h.objects, o)
		found = append(found, one)
	}

	var (
		work  sync.WaitGroup
		turns = make(chan struct{}, historyCalls)
		mu    sync.Mutex
		done  int
	)
	ctx = share.With(ctx, req.Identity.Namespace)
	for _, at := range sources {
		work.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			h.source(ctx, plan.sources[at], bySource[at], found)
			mu.Lock()
			defer mu.Unlock()
			if done++; req.Progress != nil {
				req.Progress(done, len(sources))
			}
		})
	}
	work.Wait()
	return found, nil
}

// history is one call of History.
type history struct {
	plan      *plan
	stores    map[string]map[string]any // what the class says of them
	scope     scope
	published bool
	objects   []*planned // those that are asked for
}

// source lists the versions of one source for the objects of these places, each of which
// is another goroutine's.
func (h *history) source(ctx context.Context, s *source, places []int, found []ObjectHistory) {
	versions, err := h.list(ctx, s)
	var values []store.Result
	if err == nil && h.published {
		values = h.read(ctx, s, versions)
	}
	for _, at := range places {
		one, o := &found[at], h.objects[at]
		switch {
		case errors.Is(err, store.ErrUnversioned):
			one.Unversioned = h.inWords(o, err)
			continue
		case err != nil:
			one.Failure, one.Kind = h.inWords(o, err), kindOf(err)
			continue
		}
		one.Versions = make([]ObjectVersion, len(versions))
		for i, v := range versions {
			one.Versions[i].VersionInfo = v
			if i < len(values) && values[i].Err == nil {
				one.Versions[i].Published = h.shown(ctx, o, v.Version, values[i].Value)
			}
		}
	}
}

// list lists the versions of a source.
func (h *history) list(ctx context.Context, s *source) ([]store.VersionInfo, error) {
	if !allowed(s.allow, h.scope.as) {
		return nil, notAllowed(h.scope.as)
	}
	ctx, cancel := context.WithTimeout(ctx, h.scope.config.Bounds.ReadTimeout)
	defer cancel()
	historian, ok := s.connection.store.(store.Historian)
	if !ok {
		return nil, unversioned(s.connection)
	}
	versions, err := historian.Versions(ctx, h.scope.as, s.ref)
	if err != nil && ctx.Err() != nil {
		err = fault.Failf(fault.ErrUnavailable, "no answer within %v: %w", h.scope.config.Bounds.ReadTimeout, err)
	}
	return versions, err
}

// read reads the newest versions that can be read. The result of each has its place.
func (h *history) read(ctx context.Context, s *source, versions []store.VersionInfo) []store.Result {
	values := make([]store.Result, min(len(versions), maxPublished))
	for i := range values {
		values[i].Err = fault.ErrNotFound
		if versions[i].State.Readable() {
			ref := s.ref
			ref.Version = versions[i].Version
			readCtx, cancel := context.WithTimeout(ctx, h.scope.config.Bounds.ReadTimeout)
			values[i].Value, values[i].Err = s.connection.store.Read(readCtx, h.scope.as, ref)
			cancel()
		}
	}
	return values
}

// shown is what pods show for a value of an object: the version is part of what the class
// says of it.
func (h *history) shown(ctx context.Context, o *planned, version string, value store.Value) []string {
	var shown []string
	for _, named := range []string{"", version} {
		as := *o
		as.Version = named
		as.definition = definition(as.Object, h.stores[as.Store])
		b := &builder{scope: h.scope, values: map[string]string{}}
		b.read(ctx, h.plan, &as, answer{reading: &reading{held: &held{value: value}}})
		if len(b.failures) == 0 && len(b.volume.Versions) == 1 {
			shown = append(shown, b.volume.Versions[0].Version)
		}
	}
	return shown
}

// hasVersions is the reason why an object can have no versions; it wraps
// store.ErrUnversioned.
func (h *history) hasVersions(o *planned) error {
	if err := madeInClass(o.Object); err != nil {
		return err
	}
	s := h.plan.sources[o.source]
	return hasVersions(s.connection, s.ref)
}

// madeInClass is the reason why an object whose value stands in the class has no versions.
func madeInClass(o spec.Object) error {
	switch {
	case o.Template != "":
		return fault.Failf(store.ErrUnversioned, "it is a template, made of other objects of the class; name one of those")
	case o.Sealed != "":
		return fault.Failf(store.ErrUnversioned, "it is a sealed value, whose versions are those of the file that it stands in; revert the commit that changed it")
	}
	return nil
}

func hasVersions(conn *connection, ref store.Reference) error {
	historian, ok := conn.store.(store.Historian)
	if !ok {
		return unversioned(conn)
	}
	return historian.HasVersions(ref)
}

func unversioned(conn *connection) error {
	return fault.Failf(store.ErrUnversioned, "a store of the type %s keeps no versions; put the earlier value back where it comes from", conn.typeName)
}

// inWords is an error of an object in the words of the class's dialect.
func (h *history) inWords(o *planned, err error) string {
	if o.source < 0 {
		return err.Error()
	}
	s := h.plan.sources[o.source]
	return message.Printable(s.name) + ": " + h.plan.words.InText(err.Error(), s.name)
}

// CanName says whether a class can name a version of one of its objects. It makes no
// call, and nil may turn out to be wrong: the store may be the operator's, or not know
// before it is asked. The error is in the words of the class's dialect.
func (e *Engine) CanName(class *spec.Class, o spec.Object) error {
	if err := madeInClass(o); err != nil {
		return err
	}
	r := e.current.Load()
	p := &planner{config: &r.config, conns: e.conns, class: class, stores: map[string]*planStore{}, plan: &plan{}}
	defer func() { dropPlan(e.conns, p.plan) }()
	s := p.store(o.Store)
	if s.connection == nil {
		return nil
	}
	ref := store.Reference{Key: o.Key, Version: o.Version, Options: o.Options}
	if err := s.connection.store.Check(ref); err != nil {
		return nil // the check of the class tells that
	}
	if err := hasVersions(s.connection, ref); err != nil {
		return fault.Fail(store.ErrUnversioned, errors.New(class.Words.InText(err.Error(), o.Store)))
	}
	return nil
}
