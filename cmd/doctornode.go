package cmd

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// doctorNode is what doctor looks at on one machine: a configuration, the stores that it
// names, the classes that were given, and with onNode what lies on a node.
type doctorNode struct {
	config     string
	onNode     bool
	socketDir  string
	dialects   []string
	ring       string // of the KMS plugin; empty for none
	kmsSocket  string
	timeout    time.Duration
	now        func() time.Time
	pod        identity.Identity
	hasTokens  bool // of the pod, or from the API server
	classes    []classManifest
	attributes map[string]string

	// What was opened; engine is nil where wrong says why.
	engine    *localEngine
	written   config.Config
	wrong     error
	elsewhere []string // files of the configuration that are not on this machine
	probes    []doctorStore
	trials    map[string]*remote.Trial // by URL and setting
}

// doctorStore is a store of the configuration or of a class.
type doctorStore struct {
	engine.Probe
	servers []remote.Server
	unknown error // why servers are not known
}

// open reads the configuration and opens the stores. What is wrong with it is found by
// checks. The caller calls the function that it returns at the end.
func (d *doctorNode) open(ctx context.Context, person local, progress func(done, total int)) func() {
	settings := forOneself(config.Default())
	var file *config.File
	if d.config != "" {
		if file, d.wrong = config.Load(d.config); d.wrong != nil {
			d.wrong = withStores(d.wrong)
			return func() {}
		}
		settings = file.Config
	}
	d.written = settings
	var here config.Config
	here, d.elsewhere = withoutFilesOfTheNode(settings)
	person.elsewhere = true
	opened, err := engineFor(here, NewRegistry(), nil, person)
	if err != nil {
		if d.wrong = err; file != nil {
			d.wrong = file.Explain(err)
		}
		return func() {}
	}
	d.engine = opened
	probes, giveBack := opened.Probes()
	release := []func(){giveBack}
	for _, probe := range probes {
		d.probes = append(d.probes, doctorStore{Probe: probe})
	}
	for _, class := range d.classes {
		of, giveBack, err := opened.ProbesOf(d.request(class))
		if err != nil {
			continue // the check of classes tells it
		}
		release = append(release, giveBack)
		for _, probe := range of {
			d.addStore(probe)
		}
	}
	d.findServers(ctx, progress)
	return func() {
		for _, giveBack := range release {
			giveBack()
		}
		opened.Close()
	}
}

// addStore adds a store of a class. One of the configuration that lacks what the class
// gives is known with it now.
func (d *doctorNode) addStore(probe engine.Probe) {
	for i := range d.probes {
		if d.probes[i].Name != probe.Name {
			continue
		}
		if d.probes[i].Store == nil || len(d.probes[i].Left) > 0 || len(d.probes[i].Open) > 0 {
			d.probes[i].Probe = probe
		}
		if d.probes[i].Store == probe.Store {
			return
		}
	}
	d.probes = append(d.probes, doctorStore{Probe: probe})
}

func (d *doctorNode) request(class classManifest) engine.Request {
	parameters := maps.Clone(class.parameters)
	if parameters == nil {
		parameters = map[string]string{}
	}
	maps.Copy(parameters, d.attributes)
	return engine.Request{Dialect: class.provider, Parameters: parameters, Identity: d.pod}
}

// findServers goes the way to every server of every store, once each and all at a time.
func (d *doctorNode) findServers(ctx context.Context, progress func(done, total int)) {
	d.trials = map[string]*remote.Trial{}
	var (
		mu    sync.Mutex
		done  int
		group errgroup.Group
	)
	group.SetLimit(doctorAtOnce)
	for i := range d.probes {
		p := &d.probes[i]
		if p.Store == nil {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, d.timeout)
		p.servers, p.unknown = p.Store.Servers(limited)
		cancel()
		for _, server := range p.servers {
			if _, known := d.trials[serverKey(p, server)]; known {
				continue
			}
			trial := &remote.Trial{}
			d.trials[serverKey(p, server)] = trial
			group.Go(func() error {
				limited, cancel := context.WithTimeout(ctx, d.timeout)
				defer cancel()
				*trial = *server.Try(limited, d.now)
				mu.Lock()
				defer mu.Unlock()
				done++
				progress(done, done)
				return nil
			})
		}
	}
	_ = group.Wait() //nolint:errcheck // no trial returns one
}

func serverKey(p *doctorStore, server remote.Server) string { return p.Name + " " + server.Setting }

// nodeChecks are the checks of one machine.
var nodeChecks = []doctorCheck[*doctorNode]{
	{"configuration", "the operator's configuration file, as the provider reads it", (*doctorNode).checkConfiguration},
	{"files", "the files that the configuration names, and who may read them", (*doctorNode).checkFiles},
	{"key-ring", "the key ring of sealed values, and the keys that the classes given are sealed to", (*doctorNode).checkKeyRing},
	{"file-roots", "the directories of stores of type file", (*doctorNode).checkFileRoots},
	{"sockets", "the socket of each dialect, where the driver looks for it", (*doctorNode).checkSockets},
	{"dns", "the name of every store's servers", (*doctorNode).checkNames},
	{"connection", "a connection to every store's servers, through the proxy if there is one", (*doctorNode).checkConnections},
	{"tls", "the certificate of every store's servers, against the authorities that are trusted", (*doctorNode).checkTLS},
	{"clock", "this machine's clock against those of the stores", (*doctorNode).checkClocks},
	{"health", "what stores say of themselves to everyone", (*doctorNode).checkHealth},
	{"login", "a login at every store, as the pod", (*doctorNode).checkLogins},
	{"audience", "whether a store's login takes tokens of any audience", (*doctorNode).checkAudiences},
	{"classes", "the classes that were given, under the configuration", (*doctorNode).checkClasses},
	{"reads", "every object of the classes that were given, read as the pod", (*doctorNode).checkReads},
	{"kms", "the keys of the KMS plugin's ring, as lanyard kms check tries them", (*doctorNode).checkKMS},
}

func (d *doctorNode) checkConfiguration(_ context.Context, n *doctorNotes) {
	switch {
	case d.wrong != nil:
		lines := errorLines(d.wrong)
		for _, line := range lines {
			n.fail("", fixWith("lanyard check --config %s", d.config), "%s", line)
		}
	case d.config == "":
		n.ok("", "the defaults: no file was given")
	case d.onNode:
		// The provider takes no file that others may change.
		if _, err := config.LoadTrusted(d.config); err != nil {
			n.fail("", fixWith("chmod go-w %s", d.config), "%v", err)
			return
		}
		n.ok("", "%s has no problems", d.config)
	default:
		n.ok("", "%s has no problems", d.config)
	}
}

// eachStore calls look for each store that calls servers, all at a time.
func (d *doctorNode) eachStore(n *doctorNotes, look func(place string, p *doctorStore)) {
	if !d.needConfig(n) {
		return
	}
	var group errgroup.Group
	group.SetLimit(doctorAtOnce)
	found := false
	for i := range d.probes {
		p := &d.probes[i]
		if p.Store == nil {
			continue
		}
		found = true
		group.Go(func() error {
			look("store "+message.Printable(p.Name), p)
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // nothing returns one
	if !found {
		n.ok("", "no store calls a server that could be asked")
	}
	slices.SortStableFunc(n.findings, func(a, b doctorFinding) int { return strings.Compare(a.Place, b.Place) })
}

// unreached says that the servers of a store cannot be asked anything.
func (d *doctorNode) unreached(p *doctorStore) bool {
	for _, server := range p.servers {
		if trial := d.trials[serverKey(p, server)]; !trial.Secured() {
			return true
		}
	}
	return false
}

func (d *doctorNode) checkClasses(_ context.Context, n *doctorNotes) {
	if !d.needConfig(n) {
		return
	}
	if len(d.classes) == 0 {
		n.ok("", "none was given")
	}
	for _, class := range d.classes {
		parameters := d.request(class).Parameters
		if err := d.engine.Check(class.provider, parameters); err != nil {
			for _, line := range errorLines(err) {
				n.fail("class "+class.name, fixWith("lanyard check FILE --config %s", d.config), "%s", line)
			}
			continue
		}
		n.ok("class "+class.name, "it has no problems")
	}
}

func (d *doctorNode) checkReads(ctx context.Context, n *doctorNotes) {
	if !d.needConfig(n) {
		return
	}
	if len(d.classes) == 0 {
		n.ok("", "no class was given, so no secret was read")
	}
	for _, class := range d.classes {
		place := "class " + class.name
		request := d.request(class)
		if d.engine.Check(class.provider, request.Parameters) != nil {
			n.unknown(place, noFix, "not read: the class has problems (classes)")
			continue
		}
		volume, err := d.engine.Mount(ctx, request)
		if err != nil {
			for _, line := range errorLines(err) {
				n.fail(place, fixWith("lanyard mount FILE --config %s shows the same", d.config), "%s", line)
			}
			continue
		}
		n.ok(place, "all %s can be read", count(len(volume.Versions), "object"))
		for _, absent := range volume.Absent {
			n.warn(place, noFix, "optional object %s is left out: %s", message.Printable(absent.ID), absent.Reason)
		}
	}
}

func (d *doctorNode) checkKMS(ctx context.Context, n *doctorNotes) {
	if d.ring == "" {
		n.ok("", "no ring of the KMS plugin was given (--ring)")
		return
	}
	file, err := loadRing(d.ring)
	if err != nil {
		for _, line := range errorLines(err) {
			n.fail(d.ring, fixWith("lanyard kms check --ring %s", d.ring), "%s", line)
		}
		return
	}
	defer file.Ring.Close()
	check := kmsCheckFlags{ring: d.ring, socket: d.kmsSocket, timeout: d.timeout}
	for _, entry := range file.Ring.Entries() {
		tried := check.try(ctx, entry)
		if tried.Problem != "" {
			n.fail("key "+tried.Name, fixWith("lanyard kms check --ring %s", d.ring), "%s", tried.Problem)
			continue
		}
		n.ok("key "+tried.Name, "%s at %s", tried.Result, tried.Service)
	}
	if !d.onNode {
		return
	}
	if plugin := check.queryPlugin(ctx); plugin.Running {
		n.ok("plugin", "it is healthy at %s", plugin.Socket)
	} else {
		n.fail("plugin", fixWith("journalctl -u lanyard-kms, or kubectl logs of the static pod"), "no healthy plugin at %s: %s", plugin.Socket, plugin.Note)
	}
}
