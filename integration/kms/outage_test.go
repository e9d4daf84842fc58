package kms

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// manual is the page that the table of outages stands in.
const manual = "../../docs/kms.md"

// outage is something that happens to a plugin, and how long it lasts.
type outage struct {
	what    string
	minutes int
	ring    string // before the keys in the ring file
	happens func(*outageLab)
	ends    func(*outageLab)
}

func (o outage) String() string { return fmt.Sprintf("%s, %d min", o.what, o.minutes) }

// lasts is the time as the table has it: what holds after four minutes holds
// from the third on.
func (o outage) lasts() string {
	if o.minutes == 4 {
		return "over 3 min"
	}
	return fmt.Sprintf("%d min", o.minutes)
}

// outageLab is a plugin with two API servers that run and share an etcd.
type outageLab struct {
	*plugin
	outage outage
	name   string
	first  *apiServer
	second *apiServer
	accessor,
	policy string
	row kmsplugin.Outage
}

func down(lab *outageLab) { lab.Proxy.Add(faultproxy.Fault{Refuse: true}) }

func clearFaults(lab *outageLab) { lab.Proxy.Clear() }

func answers(code int) func(*outageLab) {
	return func(lab *outageLab) {
		lab.Proxy.Add(faultproxy.Fault{Status: code, Body: `{"errors":["no"]}`})
	}
}

func slow(by time.Duration) func(*outageLab) { return func(lab *outageLab) { lab.Proxy.SetDelay(by) } }

// outages are in the order of the table.
func outages() []outage {
	return []outage{
		{"key service unreachable", 1, "", down, clearFaults},
		{"key service unreachable", 4, "", down, clearFaults},
		{"key service unreachable", 30, "", down, clearFaults},
		{"key service unreachable, `outage: 0s` in the ring", 1, "outage: 0s\n", down, clearFaults},
		{"key service unreachable, `outage: 0s` in the ring", 4, "outage: 0s\n", down, clearFaults},
		{"key service answers after 2 s", 4, "", slow(2 * time.Second), clearFaults}, // an API server waits 3 s; see kmsplugin.Outage.Tight for less room
		{"key service answers after 3.1 s", 4, "", slow(3100 * time.Millisecond), clearFaults},
		{"key service throttles every call", 4, "", answers(http.StatusTooManyRequests), clearFaults},
		{"the plugin's credentials are revoked", 1, "", (*outageLab).revoke, (*outageLab).login},
		{"the plugin's credentials are revoked", 4, "", (*outageLab).revoke, (*outageLab).login},
		{"the plugin is killed and does not come back", 1, "", func(lab *outageLab) { lab.Kill() }, func(lab *outageLab) { lab.start() }},
		{"the plugin is killed and does not come back", 4, "", func(lab *outageLab) { lab.Kill() }, func(lab *outageLab) { lab.start() }},
		{"the plugin restarts while the key service is unreachable", 1, "", restartDown, clearFaults},
		{"the plugin restarts while the key service is unreachable", 4, "", restartDown, clearFaults},
	}
}

func restartDown(lab *outageLab) {
	down(lab)
	lab.Kill()
	lab.start()
}

// login gives the plugin a token of its own.
func (lab *outageLab) login() {
	lab.policy = "kms-" + lab.v.Mount
	lab.v.Must(lab.T, http.MethodPut, "sys/policy/"+lab.policy, map[string]any{"policy": fmt.Sprintf(`path "%s/*" { capabilities = ["read", "update"] }`, lab.v.Mount)})
	answer := lab.v.Must(lab.T, http.MethodPost, "auth/token/create", map[string]any{"policies": []string{lab.policy, "default"}, "ttl": "1h"})
	lab.accessor = answer.Auth.Accessor
	lab.v.must(lab.v.UseToken(answer.Auth.ClientToken))
}

func (lab *outageLab) revoke() {
	lab.v.Must(lab.T, http.MethodPost, "auth/token/revoke-accessor", map[string]any{"accessor": lab.accessor})
}

// The times of encryptionconfig: a good status holds for 20 s, a bad one for 3 s.
const (
	afterGood = 21 * time.Second
	afterBad  = 3100 * time.Millisecond
	// reconnect is above the 2 minutes, and a fifth of them, that gRPC waits at
	// most before it tries again to connect to a socket that was refused.
	// https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
	reconnect = 150 * time.Second
)

// TestOutages lets all outages happen at once, each to a plugin of its own, and
// writes down what API servers and their users see. The API server's clock for
// seeds is moved ahead in steps; its other times are waited for.
func TestOutages(t *testing.T) {
	t.Parallel()
	var labs []*outageLab
	for i, o := range outages() {
		lab := &outageLab{plugin: newPlugin(newVault(t), "one", "write"), outage: o, name: unique(fmt.Sprintf("outage%d", i))}
		lab.Settings += o.ring
		lab.ring("one", "write")
		lab.login()
		lab.start()
		status(t, client(t, lab.plugin))
		e := newEtcd()
		lab.first = startAPIServer(t, e, lab.name, configuration(lab.plugin, lab.name))
		lab.second = startAPIServer(t, e, unique("second"), configuration(lab.plugin, lab.name))
		for a, key := range map[*apiServer]string{lab.first: "of-first", lab.second: "of-second"} {
			if err := a.write(key, "the value"); err != nil {
				t.Fatal(err)
			}
		}
		labs = append(labs, lab)
	}
	for _, lab := range labs {
		lab.outage.happens(lab)
	}
	time.Sleep(afterGood)
	for minute := 1; minute <= 30; minute++ {
		if minute > 4 && minute%2 == 1 { // polls less than three minutes apart
			continue
		}
		each(labs, func(lab *outageLab) {
			if minute <= lab.outage.minutes {
				lab.first.ahead(time.Duration(minute) * time.Minute)
				lab.poll()
			}
			if minute == lab.outage.minutes {
				lab.observe()
			}
		})
		time.Sleep(afterBad)
	}
	for _, lab := range labs {
		lab.outage.ends(lab)
	}
	each(labs, (*outageLab).recovers)
	var rows []kmsplugin.Outage
	for _, lab := range labs {
		rows = append(rows, lab.row)
	}
	if err := kmsplugin.CheckOutages(manual, rows, os.Getenv("LANYARD_UPDATE_GOLDEN") != ""); err != nil {
		t.Errorf("%v\nrun make golden", err)
	}
}

// each does the same to all labs at once.
func each(labs []*outageLab, do func(*outageLab)) {
	var all sync.WaitGroup
	for _, lab := range labs {
		all.Go(func() { do(lab) })
	}
	all.Wait()
}

// poll has the API server ask for the status, as it does every minute.
func (lab *outageLab) poll() string {
	if err := lab.first.healthy(); err != nil {
		return err.Error()
	}
	return "ok"
}

// observe writes the row.
func (lab *outageLab) observe() {
	said := lab.poll()
	_, _, cached := lab.first.read("of-first")
	_, _, other := lab.first.read("of-second")
	written := lab.first.write("new", "the value")
	cold := startAPIServer(lab.T, lab.first.etcd, unique("cold"), configuration(lab.plugin, lab.name))
	coldErr := cold.healthy()
	if coldErr == nil {
		_, _, coldErr = cold.read("of-first")
	}
	cold.end()
	lab.row = kmsplugin.Outage{
		What: lab.outage.what, For: lab.outage.lasts(),
		Known: cached == nil, Other: other == nil, Writes: written == nil, Starts: coldErr == nil, Says: said,
	}
}

// recovers waits until all is well and finds nothing lost.
func (lab *outageLab) recovers() {
	lab.Helper()
	eventually(lab.T, reconnect, "the end of: "+lab.outage.String(), func() error { return lab.first.healthy() })
	for _, key := range []string{"of-first", "of-second"} {
		lab.first.reads(key, "the value")
	}
	if err := lab.first.write("after", "the value"); err != nil {
		lab.Errorf("%s: no writes afterwards: %v", lab.outage, err)
	}
	cold := startAPIServer(lab.T, lab.first.etcd, unique("cold"), configuration(lab.plugin, lab.name))
	eventually(lab.T, 40*time.Second, "an API server that starts after: "+lab.outage.String(), cold.healthy)
	for _, key := range lab.first.etcd.keys() {
		cold.reads(key, "the value")
	}
}
