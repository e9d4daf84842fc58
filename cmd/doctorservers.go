package cmd

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// eachServer calls look for each server of each store.
func (d *doctorNode) eachServer(n *doctorNotes, look func(place string, p *doctorStore, server remote.Server, trial *remote.Trial)) {
	if !d.needConfig(n) {
		return
	}
	found := false
	for i := range d.probes {
		p := &d.probes[i]
		place := "store " + message.Printable(p.Name)
		switch {
		case p.Store == nil && p.Problem != nil:
			found = true
			n.unknown(place, fixWith("give doctor a class that uses the store"), "the configuration leaves settings to classes: %v", p.Problem)
		case p.unknown != nil:
			found = true
			n.unknown(place, noFix, "its servers are not known: %v", p.unknown)
		}
		for _, server := range p.servers {
			found = true
			at := place
			if len(p.servers) > 1 {
				at += " " + server.Setting
			}
			look(at, p, server, d.trials[serverKey(p, server)])
		}
	}
	if !found {
		n.ok("", "no store calls a server")
	}
}

func (d *doctorNode) checkNames(_ context.Context, n *doctorNotes) {
	d.eachServer(n, func(place string, _ *doctorStore, server remote.Server, trial *remote.Trial) {
		switch {
		case trial.Resolve != nil:
			n.fail(place, fixWith("nslookup %s; look at the host in %s, and at the node's DNS", hostOf(trial.HostPort), server.Setting), "%s cannot be resolved: %v", hostOf(trial.HostPort), trial.Resolve)
		case trial.Proxy != "":
			n.ok(place, "the proxy %s resolves %s", trial.Proxy, hostOf(trial.HostPort))
		default:
			n.ok(place, "%s is %s", hostOf(trial.HostPort), message.Names(trial.Addresses, message.Printable))
		}
	})
}

func hostOf(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return message.Printable(hostPort)
	}
	return host
}

func (d *doctorNode) checkConnections(_ context.Context, n *doctorNotes) {
	d.eachServer(n, func(place string, _ *doctorStore, server remote.Server, trial *remote.Trial) {
		switch {
		case trial.Resolve != nil:
			n.unknown(place, noFix, "not tried: the name is not known (dns)")
		case trial.Connect != nil:
			n.fail(place, fixWith("look at %s, at firewalls and NetworkPolicies on the way, and whether the server runs", server.Setting), "%s cannot be connected to: %v", trial.HostPort, trial.Connect)
		case trial.Proxy != "":
			n.ok(place, "%s is reached through the proxy %s", trial.HostPort, trial.Proxy)
		default:
			n.ok(place, "%s is reached", trial.HostPort)
		}
	})
}

// certificateSoon is how long before its end a server's certificate is warned of.
const certificateSoon = 7 * 24 * time.Hour

func (d *doctorNode) checkTLS(_ context.Context, n *doctorNotes) {
	d.eachServer(n, func(place string, _ *doctorStore, server remote.Server, trial *remote.Trial) {
		switch left := trial.CertificateEnds.Sub(d.now()); {
		case !trial.Reached():
			n.unknown(place, noFix, "not tried: the server was not reached (connection)")
		case !trial.Secure:
			n.warn(place, fixWith("give %s an address of https://", server.Setting), "%s is called without TLS: everyone on the way can read what it answers", trial.HostPort)
		case trial.Handshake != nil:
			n.fail(place, fixWith("openssl s_client -connect %s -showcerts; give the right authority in tls.caCertFile", trial.HostPort), "%s is not trusted: %v", trial.HostPort, trial.Handshake)
		case left < certificateSoon:
			n.warn(place, fixWith("renew the server's certificate"), "the certificate of %s ends at %s", trial.HostPort, trial.CertificateEnds.UTC().Format(time.RFC3339))
		default:
			n.ok(place, "the certificate of %s is trusted, until %s", trial.HostPort, trial.CertificateEnds.UTC().Format(time.RFC3339))
		}
	})
}

// Clocks that differ by more than skewWarn are told of; by more than skewFail, logins
// fail: AWS takes signatures of 15 minutes and Vault's jwt method tokens of 2.5 minutes.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
// https://developer.hashicorp.com/vault/api-docs/auth/jwt#clock_skew_leeway
const (
	skewWarn = 30 * time.Second
	skewFail = 150 * time.Second
)

func (d *doctorNode) checkClocks(_ context.Context, n *doctorNotes) {
	d.eachServer(n, func(place string, _ *doctorStore, _ remote.Server, trial *remote.Trial) {
		switch {
		case !trial.Secured():
			n.unknown(place, noFix, "not looked at: the server was not reached (connection, tls)")
		case trial.Date.IsZero() && trial.Answer != nil:
			n.unknown(place, noFix, "%s did not answer: %v", trial.HostPort, trial.Answer)
		case trial.Date.IsZero():
			n.unknown(place, noFix, "%s does not report its time", trial.HostPort)
		default:
			reportSkew(n, place, trial.At.Sub(trial.Date), "this machine", trial.HostPort)
		}
	})
}

// reportSkew reports by how much one clock is ahead of another.
func reportSkew(n *doctorNotes, place string, ahead time.Duration, here, there string) {
	off, side := ahead.Abs().Round(time.Second), "ahead of"
	if off > time.Hour {
		off = off.Round(time.Minute)
	}
	if ahead < 0 {
		side = "behind"
	}
	switch text := fmt.Sprintf("the clock of %s is %s %s that of %s", here, message.Duration(off), side, there); {
	case off > skewFail:
		n.fail(place, fixWith("timedatectl set-ntp true, on the side that is wrong"), "%s: tokens count as expired or not yet valid", text)
	case off > skewWarn:
		n.warn(place, fixWith("timedatectl set-ntp true, on the side that is wrong"), "%s", text)
	default:
		n.ok(place, "the clocks of %s and %s agree", here, there)
	}
}
