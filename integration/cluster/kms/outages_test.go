package kms

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// The times at which is looked what works.
const (
	afterAMinute = "1 min"
	// afterThree is when API servers that had no good status since the
	// beginning write no more.
	afterThree = "over 3 min"
)

// tight is so close to the 3 s of the API server that it depends on the machine
// whether an answer comes in time.
const tight = 2900 * time.Millisecond

// outage is something that happens to a plugin, and how it ends.
type outage struct {
	what    string
	at      []string
	ring    string // before the keys in the ring file
	happens func(*victim) error
	ends    func(*victim) error
}

// outages are in the order of the table; those that end before the first look
// have no end.
func outages() []outage {
	both, late := []string{afterAMinute, afterThree}, []string{afterThree}
	return []outage{
		{"key service unreachable", both, "", down, fixed},
		{"key service unreachable, `outage: 0s` in the ring", both, "outage: 0s\n", down, fixed},
		{"key service answers after 2.9 s", late, "", slow(tight), fixed},
		{"key service answers after 3.1 s", late, "", slow(3100 * time.Millisecond), fixed},
		{"key service throttles every call", late, "", throttled, fixed},
		{"the plugin's credentials are revoked", both, "", (*victim).revoke, (*victim).login},
		{"the plugin's credentials expire", late, "", (*victim).expire, (*victim).login},
		{"the plugin restarts with wrong credentials", late, "", wrongToken, (*victim).login},
		{"the plugin is killed, leaves its socket behind, and starts again", []string{afterAMinute}, "", killedAndBack, fixed},
		{"the plugin is killed and does not come back", both, "", killed, (*victim).startAgain},
		{"the plugin restarts while the key service is unreachable", both, "", restartDown, fixed},
	}
}

// victim is a plugin that something happens to. It encrypts a resource of its
// own, so that one API server has all outages at once.
type victim struct {
	*kmsplugin.Plugin
	*bench
	vault  *kmsplugin.Vault
	outage outage
	// name is the provider's, resource that of its resource.
	name, resource string
	accessor       string
	// delay is how much later its key service answers.
	delay time.Duration
	// foreign is an object in etcd as an API server wrote it whose seed the
	// others do not know.
	foreign []byte
}

func down(v *victim) error {
	v.Proxy.Add(faultproxy.Fault{Refuse: true})
	return nil
}

func throttled(v *victim) error {
	v.Proxy.Add(faultproxy.Fault{Status: http.StatusTooManyRequests, Body: `{"errors":["no"]}`})
	return nil
}

func slow(by time.Duration) func(*victim) error {
	return func(v *victim) error {
		v.delay = by
		v.Proxy.SetDelay(by)
		return nil
	}
}

// fixed ends what was done to the way to Vault.
func fixed(v *victim) error { v.Proxy.Clear(); v.Proxy.SetDelay(0); return nil }

func killed(v *victim) error {
	v.Kill()
	_, err := os.Lstat(v.Socket)
	return err // it is left behind
}

func (v *victim) startAgain() error { return v.Start() }

func killedAndBack(v *victim) error {
	if err := killed(v); err != nil {
		return err
	}
	return v.Start()
}

func restartDown(v *victim) error {
	v.Kill()
	v.Proxy.Add(faultproxy.Fault{Refuse: true})
	return v.Start()
}

// login gives the plugin a token of its own that holds as long as the test.
func (v *victim) login() error { return v.loginFor("1h") }

func (v *victim) loginFor(ttl string) error {
	policy := "kms-" + v.vault.Mount
	v.vault.Must(v.bench, http.MethodPut, "sys/policy/"+policy, map[string]any{
		"policy": fmt.Sprintf(`path "%s/*" { capabilities = ["read", "update"] }`, v.vault.Mount),
	})
	answer := v.vault.Must(v.bench, http.MethodPost, "auth/token/create", map[string]any{
		"policies": []string{policy, "default"}, "ttl": ttl, "explicit_max_ttl": ttl,
	})
	v.accessor = answer.Auth.Accessor
	return v.vault.UseToken(answer.Auth.ClientToken)
}

func (v *victim) revoke() error {
	v.vault.Must(v.bench, http.MethodPost, "auth/token/revoke-accessor", map[string]any{"accessor": v.accessor})
	return nil
}

// expire starts the plugin with a token whose time is nearly up.
func (v *victim) expire() error {
	v.Kill()
	if err := v.loginFor("4s"); err != nil {
		return err
	}
	return v.Start()
}

func wrongToken(v *victim) error {
	v.Kill()
	if err := v.vault.UseToken("hvs.nobody-has-this-token"); err != nil {
		return err
	}
	return v.Start()
}
