package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// Probe is a store as the configuration, or a class under it, has it.
type Probe struct {
	// Name is what it is called there, and Type its type.
	Name, Type string
	// Store is the open store; nil if Problem says why it is not open, or if a store of the type
	// calls no server.
	Store store.Prober
	// Audiences are those of the pod's tokens that it logs in with.
	Audiences []string
	// AsNode says that it reads with the node's own files or credentials.
	AsNode bool
	// Problem is why it is not open: a Problems if classes must give some of its settings.
	Problem error
	// Open are the settings that say as whom it logs in, which classes may give and the
	// configuration does not.
	Open []string
	// Left are the settings of its login that are left to classes, without which nobody
	// can log in.
	Left []string
}

// asWhom are the settings of stores that say as whom a pod logs in.
var asWhom = []string{"auth.role", "auth.clientID", "auth.serviceAccount"}

// Probes are the stores of the configuration, each as it is without what classes give,
// and the function that gives them back.
func (e *Engine) Probes() ([]Probe, func()) {
	config := &e.current.Load().config
	var probes []Probe
	var held []*connection
	for _, name := range slices.Sorted(maps.Keys(config.Stores)) {
		probe := Probe{Name: name, Type: config.Stores[name].Type}
		r, problems := resolve(config, e.conns.types, name, nil, nil, nil)
		if len(problems) > 0 {
			probe.Problem = spec.Problems(problems)
		} else if conn, err := e.acquireProbe(&r, &probe); err != nil {
			probe.Problem = err
		} else {
			held = append(held, conn)
			probe.Store, _ = conn.store.(store.Prober)
		}
		probe.AsNode = r.asNode
		if r.Type != nil {
			for _, setting := range r.WorkloadSettings() {
				if slices.Contains(asWhom, setting) && r.leaves(setting) && !given(r.settings.Fields, setting) {
					probe.Open = append(probe.Open, setting)
				}
			}
		}
		if taker, ok := r.Type.(store.TokenTaker); ok {
			probe.Audiences = taker.Audiences(r.settings)
		}
		probes = append(probes, probe)
	}
	return probes, e.giveBack(held)
}

// acquireProbe opens a store of the configuration. What is left of its login to classes
// does not keep its servers from being looked at.
func (e *Engine) acquireProbe(r *resolved, probe *Probe) (*connection, error) {
	conn, err := e.conns.acquire("", r.Type, r.settings)
	if err == nil {
		return conn, nil
	}
	settings := r.settings
	for _, problem := range settingProblems("", err) {
		setting := strings.TrimPrefix(problem.Field, ".")
		if !strings.HasPrefix(setting, "auth.") || !r.leaves(setting) || given(settings.Fields, setting) {
			return nil, err
		}
		probe.Left = append(probe.Left, setting)
		settings.Fields = withSetting(settings.Fields, setting, "left-to-classes")
	}
	return e.conns.acquire("", r.Type, settings)
}

// withSetting returns a copy of fields with the setting of this dotted name.
func withSetting(fields map[string]any, setting string, value any) map[string]any {
	changed := map[string]any{}
	maps.Copy(changed, fields)
	name, rest, nested := strings.Cut(setting, ".")
	if nested {
		below, _ := fields[name].(map[string]any)
		value = withSetting(below, rest, value)
	}
	changed[name] = value
	return changed
}

// ProbesOf are the stores that a class reads from, under the configuration. The error is
// a Problems, of a class that cannot be used.
func (e *Engine) ProbesOf(req Request) ([]Probe, func(), error) {
	plan, err := e.plan(e.current.Load(), req.Identity.Namespace, nil, req.Dialect, req.Parameters)
	if err != nil {
		return nil, nil, err
	}
	var probes []Probe
	seen := map[*connection]bool{}
	for _, source := range plan.sources {
		if seen[source.connection] {
			continue
		}
		seen[source.connection] = true
		probe := Probe{Name: source.name, Type: source.connection.typeName, Audiences: source.connection.audiences}
		probe.Store, _ = source.connection.store.(store.Prober)
		probes = append(probes, probe)
	}
	return probes, func() { dropPlan(e.conns, plan) }, nil
}

func (e *Engine) giveBack(held []*connection) func() {
	return func() {
		for _, conn := range held {
			e.conns.release(conn)
		}
	}
}
