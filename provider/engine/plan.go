package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/render/jmespath"
	"github.com/lanyardhq/lanyard/provider/render/template"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// sealedStore is the store that opens sealed values.
const sealedStore = "sealed"

// plan is a class made ready: checked, its stores open, its expressions
// compiled. It is the same for every pod that uses the class, and is kept so
// that a poll does not parse again.
type plan struct {
	objects     []planned
	sources     []*source
	words       spec.Words
	templated   bool          // some object is a template
	idle        spec.Problems // what the class says to no effect
	connections []*connection
	key         planParts
	cost        int          // about the most memory that it takes, in bytes
	lastUsed    time.Time    // guarded by plans.mu
	need        atomic.Int64 // memory that the last mount needed
	outline     *outline
}

// planned is an object made ready.
type planned struct {
	spec.Object
	number     int // what messages call the object: its place in the class, from one
	source     int // index into plan.sources; -1 for a template
	property   *jmespath.Expression
	template   *template.Template
	definition [sha256.Size]byte // digest of what the object is to the class
}

// label is what messages call the object.
func (o *planned) label() string {
	return fmt.Sprintf("object %d (%s)", o.number, message.Printable(o.ID()))
}

// source is one secret that the class reads, however many objects show it.
type source struct {
	id         [sha256.Size]byte
	connection *connection
	name       string // what the class calls the store
	label      string // what logs and metrics call it, while the configuration names it
	allow      []string
	ref        store.Reference
	refresh    time.Duration
	ownRefresh time.Duration // the least that an object itself asks for; zero if none does
	optional   bool          // all of its objects are optional
	steady     bool          // the value never changes
}

// planner builds one plan and collects everything that is wrong on the way.
type planner struct {
	config    *config.Config
	conns     *connections
	namespace string
	work      *work // nil if it has no turn
	class     *spec.Class
	stores    map[string]*planStore
	bySource  map[[sha256.Size]byte]int
	plan      *plan
	problems  spec.Problems
}

// planStore is a store as the plan found it: open, or with what is wrong.
type planStore struct {
	connection *connection // nil if it could not be opened
	label      string      // as in source
	allow      []string
	problems   spec.Problems
}

// maxStores is the most stores that one class may define. Each is a connection
// of its own, with its logins.
const maxStores = 64

// newPlan makes a class ready for a namespace, or says what is wrong in the words of this
// package. The plan holds its connections until dropPlan.
func newPlan(config *config.Config, conns *connections, namespace string, w *work, class *spec.Class) (*plan, spec.Problems) {
	if len(class.Objects) > config.Bounds.Objects {
		return nil, spec.Problems{{Field: "objects", Text: fmt.Sprintf("has %d entries, and the operator allows %d; split the class, one volume each", len(class.Objects), config.Bounds.Objects)}}
	}
	p := &planner{
		config: config, conns: conns, namespace: namespace, work: w, class: class,
		stores:   map[string]*planStore{},
		bySource: map[[sha256.Size]byte]int{},
		plan:     &plan{words: class.Words, objects: make([]planned, 0, len(class.Objects))},
	}
	if len(class.Stores) > maxStores {
		return nil, spec.Problems{{Field: "stores", Text: fmt.Sprintf("has %d entries, and a class may define at most %d; split the class, one volume each", len(class.Stores), maxStores)}}
	}
	if compiled := compiledBytes(class); compiled > maxCompiled {
		return nil, spec.Problems{{Field: "objects", Text: fmt.Sprintf("have templates and properties of %d bytes in total, and a class may have at most %d; split the class, one volume each", compiled, maxCompiled)}}
	}
	p.problems = class.NativeProblems()
	for _, name := range slices.Sorted(maps.Keys(class.Stores)) {
		p.problems = append(p.problems, p.store(name).problems...)
	}
	for i, o := range class.Objects {
		p.add(i, o)
		_, _ = w.pause(context.Background()) //nolint:errcheck // that does not end
	}
	p.checkTemplateNames()
	if len(p.problems) > 0 {
		dropPlan(conns, p.plan)
		return nil, p.problems
	}
	p.defineTemplates()
	p.plan.outline = outlineOf(p.plan)
	return p.plan, nil
}

// maxCompiled is the maximum size of a class's templates and properties in bytes, which
// take many times that in memory when they are compiled.
const maxCompiled = 128 << 10

// compiledBytes is the size of what is compiled of a class.
func compiledBytes(class *spec.Class) (total int) {
	for i := range class.Objects {
		total += len(class.Objects[i].Template) + len(class.Objects[i].Property)
	}
	return total
}

func dropPlan(conns *connections, p *plan) {
	for _, conn := range p.connections {
		conns.release(conn)
	}
}

// What a plan takes in memory at most, as tried out with texts made for it: for
// each object, for each byte that is compiled and of options, and for each
// connection and byte of its settings.
const (
	objectCost     = 2 << 10
	compiledCost   = 80
	optionCost     = 32
	connectionCost = 4 << 10
	settingCost    = 4
)

func (p *planner) add(i int, o spec.Object) {
	p.plan.cost += objectCost + len(o.Path) + len(o.Name) + len(o.Key) + len(o.Sealed) + compiledCost*(len(o.Template)+len(o.Property))
	planned := planned{Object: o, number: p.class.Number(i), source: -1, definition: definition(o, p.class.Stores[o.Store])}
	problem := func(field string, err error) {
		p.problems = append(p.problems, spec.Problem{Field: fmt.Sprintf("objects[%d].%s", i, field), Object: i + 1, ID: o.ID(), Text: err.Error()})
	}
	var err error
	if o.Property != "" {
		if planned.property, err = jmespath.Compile(o.Property); err != nil {
			problem("property", err)
		}
	}
	switch {
	case o.Template != "":
		p.plan.templated = true
		if planned.template, err = template.Parse(o.Template); err != nil {
			problem("template", err)
		}
	case o.Sealed != "":
		planned.source = p.source(i, o, sealedStore, store.Reference{Key: o.Sealed, Object: o.ID(), Options: o.Options})
	case o.Key != "":
		planned.source = p.source(i, o, o.Store, store.Reference{Key: o.Key, Version: o.Version, Options: o.Options})
	}
	p.plan.objects = append(p.plan.objects, planned)
}

// maxProblems is how many problems are looked for where each costs much: more
// than are told.
const maxProblems = 25

// checkTemplateNames reports what templates ask for and no object gives.
func (p *planner) checkTemplateNames() {
	known := map[string]bool{}
	for _, o := range p.class.Objects {
		if o.Template == "" && !o.Expand {
			known[o.Name], known[o.Path] = true, true
		}
	}
	delete(known, "")
	for i := range p.plan.objects {
		o := &p.plan.objects[i]
		if o.template == nil {
			continue
		}
		for _, name := range o.template.Names() {
			if !known[name] {
				if len(p.problems) >= maxProblems {
					return // a guess for each would take minutes, and no more are told
				}
				text := fmt.Sprintf("no object is named %s; a template may use what is read from stores and not expanded", message.Printable(name))
				if meant := o.template.Misnamed(name, func(n string) bool { return known[n] }); meant != "" {
					text += fmt.Sprintf("; write {{ index . %q }}", meant)
				} else if near := strict.Nearest(name, slices.Collect(maps.Keys(known))); near != "" {
					text += fmt.Sprintf("; did you mean %s?", message.Printable(near))
				}
				p.problems = append(p.problems, spec.Problem{Field: fmt.Sprintf("objects[%d].template", i), Object: i + 1, ID: o.ID(), Text: text})
			}
		}
	}
}

// source finds or makes the source of an object and returns its index, or -1
// after a problem.
func (p *planner) source(i int, o spec.Object, name string, ref store.Reference) int {
	s := p.store(name)
	if len(s.problems) > 0 && p.class.Stores[name] == nil {
		p.problems = append(p.problems, ofObject(i, o, name, s.problems)...)
	}
	if s.connection == nil {
		return -1
	}
	if err := s.connection.store.Check(ref); err != nil {
		p.problems = append(p.problems, referenceProblems(i, o, err)...)
		return -1
	}
	canonical, err := json.Marshal(ref)
	if err != nil {
		p.problems = append(p.problems, spec.Problem{Field: fmt.Sprintf("objects[%d].options", i), Object: i + 1, ID: o.ID(), Text: "cannot be written as JSON; use text, numbers, lists and maps with text keys"})
		return -1
	}
	if len(ref.Options) > 0 {
		p.plan.cost += optionCost * len(canonical)
	}
	id := sha256.Sum256(append(s.connection.id[:], canonical...))
	refresh := cmp.Or(o.Refresh, p.class.Refresh)
	var steadyFor time.Duration
	if steady, ok := s.connection.store.(store.Steady); ok {
		steadyFor = steady.RefreshOf(ref)
	}
	if refresh == 0 {
		refresh = max(p.config.Cache.Refresh, steadyFor)
	}
	index, known := p.bySource[id]
	if !known {
		index = len(p.plan.sources)
		p.bySource[id] = index
		p.plan.sources = append(p.plan.sources, &source{
			id: id, connection: s.connection, name: name, label: s.label, allow: s.allow, ref: ref,
			refresh: refresh, ownRefresh: o.Refresh, optional: o.Optional, steady: steadyFor > 0,
		})
		return index
	}
	shared := p.plan.sources[index]
	shared.refresh = min(shared.refresh, refresh)
	if shared.ownRefresh == 0 || (o.Refresh > 0 && o.Refresh < shared.ownRefresh) {
		shared.ownRefresh = o.Refresh
	}
	shared.optional = shared.optional && o.Optional
	return index
}

// store opens the named store once for the plan.
func (p *planner) store(name string) *planStore {
	if s, ok := p.stores[name]; ok {
		return s
	}
	s := &planStore{}
	p.stores[name] = s
	r, problems := resolve(p.config, p.conns.types, name, p.class.Stores[name], p.class.Defaults[name], definedBut(p.class.Stores, name))
	if len(problems) > 0 {
		s.problems = problems
		return s
	}
	conn, err := p.conns.acquire(p.namespace, r.Type, r.settings)
	if err != nil {
		s.problems = settingProblems("stores."+name, err)
		for i := range s.problems {
			s.problems[i].Store = name
			if r.asNode && !r.settings.ByOperator && s.problems[i].Field == "stores."+name+".auth.method" {
				auth, _ := r.settings.Fields["auth"].(map[string]any)
				s.problems[i].Text += fmt.Sprintf("; there the operator's configuration must have stores: {%s: {type: %s, auth: {method: %v}, allow: [NAMESPACE/SERVICEACCOUNT]}}", r.name, r.Type.Name(), auth["method"])
			}
		}
		return s
	}
	p.plan.connections = append(p.plan.connections, conn)
	if r.asNode && len(r.allow) == 0 {
		// No store type lets a class do so, and the operator's are checked when
		// their configuration is.
		s.problems = spec.Problems{{Field: "stores." + name, Store: name, Text: "reads with the node's own files or credentials, which only a store of the operator's configuration may that says under allow whose pods may use it"}}
		return s
	}
	if looksUp, ok := conn.store.(store.ClusterReader); ok && !p.config.Policy.ReadObjects {
		if missing := looksUp.LooksUp(); len(missing) > 0 {
			s.problems = settingProblems("stores."+name, missing)
			for i := range s.problems {
				s.problems[i].Store = name
			}
		}
	}
	if !r.settings.ByOperator || len(r.settings.FromClass) > 0 { // else it is all classes'
		p.plan.cost += connectionCost + settingCost*conn.size
	}
	s.connection, s.label, s.allow = conn, r.label(), r.allow
	return s
}

// ofObject tells the problems of a store that the class does not define as
// those of the object that names it.
func ofObject(i int, o spec.Object, name string, problems spec.Problems) spec.Problems {
	field := "store"
	if o.Sealed != "" {
		field = "sealed"
	}
	translated := make(spec.Problems, 0, len(problems))
	for _, problem := range problems {
		text := problem.Text
		if rest := strings.TrimPrefix(problem.Field, "stores."+name); rest != "" {
			text = strings.TrimPrefix(rest, ".") + ": " + text
		}
		translated = append(translated, spec.Problem{
			Field: fmt.Sprintf("objects[%d].%s", i, field), Object: i + 1, ID: o.ID(), Store: name,
			Text: fmt.Sprintf("store %s: %s", message.Printable(name), text),
		})
	}
	return translated
}

// referenceProblems turns what a store says of an object's reference into
// problems. A store that names no field means the reference itself.
func referenceProblems(i int, o spec.Object, err error) spec.Problems {
	prefix := fmt.Sprintf("objects[%d]", i)
	problems := settingProblems(prefix, err)
	for j := range problems {
		problems[j].Object, problems[j].ID = i+1, o.ID()
		switch {
		case problems[j].Field != prefix:
		case o.Sealed != "":
			problems[j].Field += ".sealed"
		default:
			problems[j].Field += ".key"
		}
	}
	return problems
}

// settingProblems turns what a store says of its settings into problems, one
// for each field.
func settingProblems(prefix string, err error) spec.Problems {
	var fields strict.Problems
	if !errors.As(err, &fields) {
		return spec.Problems{{Field: prefix, Text: trimKind(err)}}
	}
	problems := make(spec.Problems, 0, len(fields))
	for _, f := range fields {
		field := prefix
		if f.Field != "" {
			field += "." + f.Field
		}
		problems = append(problems, spec.Problem{Field: field, Text: f.Text})
	}
	return problems
}

// trimKind drops the kind's own words from the front of an error's text, where
// the place in the message says as much.
func trimKind(err error) string {
	return strings.TrimPrefix(err.Error(), fault.ErrInvalid.Error()+": ")
}

// fileMode is the mode of the object's files.
func (o *planned) fileMode(requested fs.FileMode) fs.FileMode {
	switch {
	case o.Mode != nil:
		return *o.Mode
	case requested != 0:
		return requested
	default:
		return 0o644
	}
}
