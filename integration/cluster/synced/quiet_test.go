package synced

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// What does not change costs nothing but the writes that put right what others changed: no
// status, no annotation and no Event, whether all is well or something fails.
func TestIdleObjectsAreNotWritten(t *testing.T) {
	n := quiet(t)
	proxies := map[string]*faultproxy.Proxy{}
	for name, fault := range map[string]faultproxy.Fault{
		"refused":   refuse,
		"hung-up":   {Hangup: true},
		"broken":    {Status: 500, Body: `{"errors":["out of order"]}`},
		"throttled": {Status: 429},
		"halved":    {HalfBody: true},
		"slow":      {Delay: time.Hour},
	} {
		proxies[name] = n.toVault()
		proxies[name].Add(fault)
	}
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"db"}}`)
	n.sync("no-class", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.class("denied", strings.NewReplacer("secretName: db", "secretName: denied", "/web/db", "/api/db").Replace(one))
	n.foreign("theirs", nil)
	n.class("theirs", strings.Replace(one, "secretName: db", "secretName: theirs", 1))
	for name, proxy := range proxies {
		timeout := "1m" // far more than a busy machine takes: a time-out is another message, and written
		if name == "slow" {
			timeout = "1s"
		}
		n.class(name, strings.NewReplacer("secretName: db", "secretName: "+name, "retries: 0", "retries: 0, timeout: "+timeout).Replace(through), "$address", proxy.Address)
	}
	n.state("db", "Synced", "")
	n.condition("by-sync", "Update", "True", "NoValueChange")
	n.condition("no-class", "Create", "False", "ControllerSPCError")
	n.state("denied", "Failed", "ProviderError")
	n.state("theirs", "Failed", "SecretNotOwned")
	for name := range proxies {
		n.state(name, "Failed", "ProviderError")
	}
	before := n.told()
	n.passes(20)
	var written []string
	for _, line := range n.told() {
		if !slices.Contains(before, line) && !strings.Contains(line, "beside") {
			written = append(written, line)
		}
	}
	if len(written) > 0 {
		t.Errorf("written while nothing changed:\n%s", strings.Join(written, "\n"))
	}
	drifts := 0
	for _, c := range n.calls(t, n.namespace) {
		if c.Object.Resource == "secrets" && c.Object.Name == "db" {
			drifts++
		}
	}
	if drifts < 3 {
		t.Errorf("%d writes of the Secret, where drift is put right every %v", drifts, drift)
	}
}

// told are the writes of the controller's in the namespace that are not of Secrets.
func (n *tenant) told() (lines []string) {
	n.Helper()
	for i, c := range n.calls(n.T, n.namespace) {
		if c.Object.Resource != "secrets" && slices.Contains([]string{"create", "patch", "update", "delete"}, c.Verb) {
			lines = append(lines, fmt.Sprint(i, " ", c, " ", string(c.Request)))
		}
	}
	return lines
}

// planted is how values that tests plant begin, as text and in base64.
var planted = [][]byte{[]byte("planted"), []byte("cGxhbnRlZ")}

// nothingPlanted looks for values of all tests in all that the controllers emit: what they
// print, their metrics, Events, classes and SecretSyncs, and in what the API server answers
// to their writes of Secrets.
func (p *place) nothingPlanted(ctx context.Context) error {
	var problems []error
	look := func(where string, text []byte) {
		for _, mark := range planted {
			if at := bytes.Index(text, mark); at >= 0 {
				problems = append(problems, fmt.Errorf("a value is in %s: ...%s", where, text[max(0, at-500):min(len(text), at+200)]))
			}
		}
	}
	look("the log", []byte(p.controller.log.String()))
	if metrics, err := p.controller.get("/metrics"); err == nil {
		look("the metrics", []byte(metrics))
	} else {
		problems = append(problems, err)
	}
	for _, kind := range []string{"SecretProviderClass", "SecretSync"} {
		list, err := p.dynamic.Resource(resources[kind]).List(ctx, meta.ListOptions{})
		if err != nil {
			return err
		}
		text, err := list.MarshalJSON()
		if err != nil {
			return err
		}
		look(kind, text)
	}
	list, err := p.kube.EventsV1().Events("").List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	look("an Event", text)
	return errors.Join(append(problems, p.answersHoldNothing(look))...)
}

// answersHoldNothing looks at the audit log.
func (p *place) answersHoldNothing(look func(where string, text []byte)) error {
	all, err := p.audited("")
	if err != nil {
		return err
	}
	secrets := 0
	for _, c := range all {
		look("the answer to "+c.String(), c.Response)
		if c.Object.Resource != "secrets" {
			look("the request "+c.String(), c.Request)
			continue
		}
		if c.Status.Code < 300 && c.Verb != "delete" {
			secrets++
			var answer meta.PartialObjectMetadata
			if err := json.Unmarshal(c.Response, &answer); err != nil || answer.Kind != "PartialObjectMetadata" {
				return fmt.Errorf("%s: the answer is a %s, %w", c, answer.Kind, err)
			}
		}
		if !slices.Contains([]string{"create", "patch", "delete"}, c.Verb) {
			return fmt.Errorf("the controller tried to %s", c)
		}
	}
	if secrets == 0 {
		return errors.New("the audit log holds no write of a Secret")
	}
	return nil
}
