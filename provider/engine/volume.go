package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/jsonsize"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/render"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// absent is the version of an optional object that has no value now.
const absent = "absent"

// volumeKey is for whom and of what a volume was made.
type volumeKey struct {
	identity identityHandle
	pod      string    // set if any value belongs to the pod alone
	plan     planParts // the plan itself may be gone
	mode     fs.FileMode
}

func (k volumeKey) namespace() string { return k.identity.Value().Namespace }

// builtVolume is a volume with the values that it was made of. As long as the
// cache answers with the very same ones, the volume is still right.
type builtVolume struct {
	volume   *Volume
	made     []*held
	cost     int64
	lastUsed time.Time
}

// keyOf is the key of the volume made of the answers.
func keyOf(a scope, p *plan, mode fs.FileMode, answers []answer) volumeKey {
	key := volumeKey{identity: a.key, plan: p.key, mode: mode}
	if slices.ContainsFunc(answers, func(ans answer) bool { h := ans.held(); return h != nil && h.value.Lease != nil }) {
		key.pod = a.pod()
	}
	return key
}

// made returns the volume from memory if nothing has changed since it was made, else
// nil.
func (c *cache) made(a scope, p *plan, mode fs.FileMode, answers []answer) *Volume {
	c.mu.Lock()
	defer c.mu.Unlock()
	built, ok := c.volumes.Get(keyOf(a, p, mode, answers))
	if !ok || !slices.EqualFunc(built.made, answers, func(h *held, ans answer) bool { return h == ans.held() }) {
		return nil
	}
	built.lastUsed = c.now()
	return built.volume
}

// volume returns the volume made of the answers, from memory if nothing has
// changed since it was made, or everything that failed.
func (c *cache) volume(ctx context.Context, a scope, p *plan, mode fs.FileMode, answers []answer) (*Volume, []failure) {
	key := keyOf(a, p, mode, answers)
	if volume := c.made(a, p, mode, answers); volume != nil {
		return volume, nil
	}
	c.mu.Lock()
	known := c.knownFailure(key, answers)
	c.mu.Unlock()
	if known != nil {
		return nil, []failure{*known}
	}

	// Who does not get a turn in time goes on without: build then makes
	// nothing, and tells what failed.
	w, err := c.shares.begin(ctx, key.namespace())
	if err == nil {
		defer w.end()
	}
	built, failures := build(ctx, a, p, mode, answers, w)
	if len(failures) > 0 {
		if _, short := a.budget.need(); short {
			return nil, failures // the mount begins anew
		}
		if ctx.Err() == nil {
			c.rememberFailure(key, p, answers, failures)
		}
		return nil, failures
	}
	logAbsent(a, built.volume.Absent)
	for _, h := range built.made {
		if h != nil && h.value.Made.After(built.volume.Made) {
			built.volume.Made = h.value.Made
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	built.lastUsed = c.now()
	c.volumes.Remove(key)
	c.volumes.Add(key, built)
	c.count(key.namespace(), built.cost)
	for _, h := range built.made {
		c.keep(key.namespace(), h)
	}
	c.shrink(int64(a.config.Cache.Bytes))
	return built.volume, nil
}

// absentLogged is how many optional objects of a volume the log names.
const absentLogged = 10

// logAbsent says once for each new volume what is not in it, and why.
func logAbsent(a scope, all []Absence) {
	for _, one := range all[:min(len(all), absentLogged)] {
		klog.InfoS("An optional object is absent", "namespace", message.Printable(a.as.Namespace), "pod", message.Printable(a.as.Pod), "object", message.Printable(one.ID), "cause", one.Reason)
	}
}

// builder makes one volume.
type builder struct {
	scope    scope
	work     *work         // nil if it has no turn
	spent    time.Duration // processor time
	stopped  error         // the turn was lost
	mode     fs.FileMode
	volume   Volume
	values   map[string]string // what templates see
	size     int64             // of the files in the message that the volume becomes
	listed   int64             // of the versions in that message
	copied   int64             // bytes that are not the stored value's own
	made     int64             // memory that was made on the way, what is not kept included
	failures []failure
	budget   *budget
}

// build makes the volume of a plan from its values: first what is read, then
// the templates over it.
func build(ctx context.Context, a scope, p *plan, mode fs.FileMode, answers []answer, w *work) (*builtVolume, []failure) {
	b := &builder{scope: a, work: w, mode: mode, values: map[string]string{}, budget: a.budget}
	limit := int64(a.config.Bounds.ResponseBytes)
	for i := range p.objects {
		if o := &p.objects[i]; o.source >= 0 && (!b.over(ctx, limit) || answers[o.source].err != nil) {
			b.read(ctx, p, o, answers[o.source])
		}
	}
	incomplete := len(b.failures) > 0
	for i := range p.objects {
		if o := &p.objects[i]; o.template != nil && !b.over(ctx, limit) && (!incomplete || b.hasAll(o.template.Names())) {
			b.template(ctx, o)
		}
	}
	if err := b.outOfTime(ctx); err != nil && len(b.failures) == 0 {
		b.failures = []failure{{err: err}}
	}
	if len(b.failures) == 0 && b.size+b.listed > limit {
		b.failures = []failure{{err: b.tooLarge(limit)}}
	}
	if len(b.failures) == 0 && b.made > madeFactor*limit {
		b.failures = []failure{{err: fmt.Errorf("%w: the properties, encodings and templates of the class make more than %d bytes in total; split the class into several volumes", fault.ErrTooLarge, madeFactor*limit)}}
	}
	if len(b.failures) > 0 {
		return nil, b.failures
	}
	volume := b.volume // without the builder, which holds more than is kept
	volume.fromCache, volume.message = new(atomic.Pointer[audit.Objects]), new(atomic.Pointer[any])
	built := &builtVolume{volume: &volume, cost: b.copied + entryOverhead + int64(len(b.volume.Files)+len(b.volume.Versions))*entryOverhead/4}
	for _, ans := range answers {
		built.made = append(built.made, ans.held())
	}
	return built, nil
}

// buildTime bounds the processor time for building one volume.
const buildTime = 5 * time.Second

// madeFactor bounds the memory for building a volume, as a multiple of
// bounds.responseBytes. A volume whose every byte passes through a template needs 3.
const madeFactor = 4

// over says that building has to stop: the time is over, or the objects, each within
// its own bound, make too much in total. It gives way to other namespaces.
func (b *builder) over(ctx context.Context, limit int64) bool {
	return b.pause(ctx) != nil || b.made > madeFactor*limit
}

// pause gives way to other namespaces. The error is outOfTime's.
func (b *builder) pause(ctx context.Context) error {
	b.spent, b.stopped = b.work.pause(ctx)
	return b.outOfTime(ctx)
}

// hooks let the work on one object give way too, and take its memory from the budget.
// given gives that back.
func (b *builder) hooks(ctx context.Context) (hooks render.Hooks, given func()) {
	var taken int64
	return render.Hooks{
		Reserve: func(bytes int64) error {
			taken += bytes
			return b.budget.take(bytes)
		},
		Pause: func() error { return b.pause(ctx) },
	}, func() { b.budget.give(taken) }
}

// outOfTime is the error of a volume that took too long, or whose mount did.
func (b *builder) outOfTime(ctx context.Context) error {
	switch {
	case b.spent > buildTime:
		return fmt.Errorf("%w: making the files took more than the %v of processor time allowed: retry, or simplify the properties and templates of the class", fault.ErrUnavailable, buildTime)
	case b.stopped != nil || ctx.Err() != nil:
		return fmt.Errorf("%w: the mount's time was over before its files were made (%w)", fault.ErrUnavailable, cmp.Or(ctx.Err(), b.stopped))
	default:
		return nil
	}
}

func (b *builder) fail(p *plan, o *planned, err error) {
	f := failure{object: o, err: err}
	if o.source >= 0 {
		f.source = p.sources[o.source]
	}
	b.failures = append(b.failures, f)
}

// read renders an object that is read from a store.
func (b *builder) read(ctx context.Context, p *plan, o *planned, ans answer) {
	if ans.err != nil {
		b.fail(p, o, ans.err)
		return
	}
	data := ans.held().value.Data.Reveal()
	err := ans.held().missing
	if err == nil && (o.property != nil || o.Expand) {
		parsed := jsonsize.Cost(data)
		if err = b.budget.take(parsed); err != nil {
			b.fail(p, o, err)
			return
		}
		defer b.budget.give(parsed)
	}
	if err == nil && o.property != nil {
		hooks, given := b.hooks(ctx)
		data, err = o.property.Apply(data, hooks)
		given()
		if err != nil && b.outOfTime(ctx) != nil {
			return // as build tells
		}
		if errors.Is(err, render.ErrNothing) {
			err = fault.Fail(fault.ErrNotFound, fmt.Errorf("`property` %s%s: %w", message.Printable(o.Property), ofKey(o), err))
		} else if err != nil {
			err = fault.Fail(fault.ErrInvalid, fmt.Errorf("`property` %s%s: %w", message.Printable(o.Property), ofKey(o), err))
		}
	}
	if err != nil && o.Optional && errors.Is(err, fault.ErrNotFound) {
		b.absent(p, o, err)
		return
	}
	if err != nil {
		b.fail(p, o, err)
		return
	}
	if o.Expand {
		b.expand(p, o, data)
		return
	}
	if data, err = render.Decode(o.Encoding, data); err != nil {
		b.fail(p, o, fault.Fail(fault.ErrInvalid, fmt.Errorf("`encoding`%s: %w", ofKey(o), err)))
		return
	}
	b.file(o, File{Path: o.Path, Contents: data})
	if !p.templated {
		return
	}
	// Templates call the object by either of its names.
	text := string(data)
	b.made += int64(len(text))
	for _, name := range []string{o.Name, o.Path} {
		if name != "" {
			b.values[name] = text
		}
	}
}

// ofKey names the key that a value was read from. A sealed value has none.
func ofKey(o *planned) string {
	if o.Key == "" {
		return ""
	}
	return " of " + message.Printable(o.Key)
}

// absent leaves out an optional object.
func (b *builder) absent(p *plan, o *planned, reason error) {
	store := p.sources[o.source].name
	b.version(o, absent)
	b.volume.Absent = append(b.volume.Absent, Absence{ID: o.ID(), Reason: message.Printable(store) + ": " + p.words.InText(reason.Error(), store)})
}

func (b *builder) expand(p *plan, o *planned, data []byte) {
	entries, err := render.Expand(data)
	if errors.Is(err, render.ErrNothing) && o.Optional {
		b.absent(p, o, fmt.Errorf("`expand`%s: %w", ofKey(o), err))
		return
	}
	if err != nil {
		b.fail(p, o, fault.Fail(fault.ErrInvalid, fmt.Errorf("`expand`%s: %w", ofKey(o), err)))
		return
	}
	files := make([]File, 0, len(entries))
	for _, entry := range entries {
		if text := spec.WrongPath(o.Path + "/" + entry.Name); text != "" {
			b.fail(p, o, fmt.Errorf("%w: `expand`: the path of key %s below %s %s", fault.ErrInvalid, message.Printable(entry.Name), message.Printable(o.Path), text))
			continue
		}
		decoded, err := render.Decode(o.Encoding, entry.Data)
		if err != nil {
			b.fail(p, o, fault.Fail(fault.ErrInvalid, fmt.Errorf("`expand`: key %s: `encoding`: %w", message.Printable(entry.Name), err)))
			continue
		}
		files = append(files, File{Path: o.Path + "/" + entry.Name, Contents: decoded})
	}
	b.file(o, files...)
}

// hasAll tells whether a template uses objects that are all there, and is worth trying
// where others failed.
func (b *builder) hasAll(names []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { _, ok := b.values[name]; return !ok })
}

// template renders an object that is made of others. Each template that fails is
// reported, so that all can be fixed at once.
func (b *builder) template(ctx context.Context, o *planned) {
	hooks, given := b.hooks(ctx)
	data, err := o.template.Execute(b.values, hooks)
	given()
	if err != nil && b.outOfTime(ctx) != nil {
		return // as build tells
	}
	if err != nil {
		b.failures = append(b.failures, failure{object: o, err: fault.Fail(fault.ErrInvalid, err)})
		return
	}
	b.file(o, File{Path: o.Path, Contents: data})
}

// framing is what a message holds at most for each file and each version
// beside their own bytes.
const framing = 32

// version adds the object's version.
func (b *builder) version(o *planned, version string) {
	b.listed += int64(len(o.ID())) + int64(len(version)) + framing
	b.volume.Versions = append(b.volume.Versions, Version{ID: o.ID(), Version: version})
}

// file adds the files of an object, with their version. A file without a path is
// only for templates.
func (b *builder) file(o *planned, files ...File) {
	b.version(o, b.scope.keyed.version(b.scope.as, o, files))
	for _, f := range files {
		if o.property != nil || o.template != nil || o.Encoding != "" || o.Expand {
			b.copied += int64(len(f.Contents))
			if err := b.budget.take(int64(len(f.Contents))); err != nil {
				b.failures = append(b.failures, failure{object: o, err: err})
			}
			b.made += int64(len(f.Contents)) + int64(len(f.Path)) + framing
		}
		if f.Path == "" {
			continue
		}
		b.size += int64(len(f.Contents)) + int64(len(f.Path)) + framing
		f.Mode = o.fileMode(b.mode)
		b.volume.Files = append(b.volume.Files, f)
	}
}

// tooLarge is the error that names the largest files.
func (b *builder) tooLarge(limit int64) error {
	largest := slices.SortedFunc(slices.Values(b.volume.Files), func(x, y File) int { return cmp.Compare(len(y.Contents), len(x.Contents)) })
	var names []string
	for _, f := range largest[:min(3, len(largest))] {
		names = append(names, fmt.Sprintf("%s (%d bytes)", message.Printable(f.Path), len(f.Contents)))
	}
	listed := ""
	if b.size <= limit {
		listed = fmt.Sprintf(" and their versions %d", b.listed)
	}
	return fmt.Errorf("%w: the volume's files have %d bytes in total%s, and the driver accepts %d; move some of the largest to another volume: %s", fault.ErrTooLarge, b.size, listed, limit, strings.Join(names, ", "))
}
