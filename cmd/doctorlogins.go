package cmd

import (
	"context"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/store"
)

func (d *doctorNode) checkHealth(ctx context.Context, n *doctorNotes) {
	d.eachStore(n, func(place string, p *doctorStore) {
		checker, ok := p.Store.(store.HealthChecker)
		switch {
		case !ok:
			n.ok(place, "a store of type %s says nothing of its health; a login shows it", p.Type)
		case d.unreached(p):
			n.unknown(place, noFix, "not asked: the server was not reached (connection, tls)")
		default:
			if err := checker.Health(ctx); err != nil {
				n.fail(place, fixWith("vault status"), "%v", err)
				return
			}
			n.ok(place, "it works")
		}
	})
}

func (d *doctorNode) checkLogins(ctx context.Context, n *doctorNotes) {
	d.eachStore(n, func(place string, p *doctorStore) {
		switch {
		case d.unreached(p):
			n.unknown(place, noFix, "not tried: the server was not reached (connection, tls)")
		case len(p.Left) > 0:
			n.unknown(place, fixWith("give doctor a class that uses the store"), "not tried: %s is left to classes", strings.Join(p.Left, ", "))
		case !p.AsNode && len(p.Audiences) > 0 && !d.hasTokens:
			n.unknown(place, fixWith("kubectl create token SERVICEACCOUNT -n NAMESPACE --audience %s >token, and --token %s=token; or --kubeconfig with --namespace and --service-account", p.Audiences[0], p.Audiences[0]),
				"not tried: no token of a pod's was given")
		default:
			err := p.Store.Login(ctx, d.pod)
			if err != nil && len(p.Open) > 0 {
				n.unknown(place, fixWith("give doctor a class that uses the store"), "as the configuration has it, nobody is let in, and classes may give %s: %v", strings.Join(p.Open, ", "), err)
				return
			}
			if err != nil {
				n.fail(place, loginFix(p), "%v", err)
				return
			}
			n.ok(place, "%s is let in", d.who(p))
		}
	})
}

func loginFix(p *doctorStore) doctorFix {
	if p.Type == "vault" {
		return fixWith("vault read auth/MOUNT/role/ROLE")
	}
	return fixWith("docs/stores says for each store what its login needs")
}

func (d *doctorNode) who(p *doctorStore) string {
	if p.AsNode {
		return "the node"
	}
	return "service account " + message.Printable(d.pod.Namespace) + "/" + message.Printable(d.pod.ServiceAccount)
}

func (d *doctorNode) checkAudiences(ctx context.Context, n *doctorNotes) {
	d.eachStore(n, func(place string, p *doctorStore) {
		binder, ok := p.Store.(store.AudienceBinder)
		switch {
		case !ok || p.AsNode || len(p.Audiences) == 0:
			n.ok(place, "no role of the store's decides that")
		case d.unreached(p) || !d.hasTokens || len(p.Left) > 0:
			n.unknown(place, noFix, "not tried: there was no login (login)")
		default:
			bound, err := binder.BindsAudience(ctx, d.pod)
			fix := fixWith("vault write auth/MOUNT/role/ROLE audience=%s, with the role's other fields", p.Audiences[0])
			switch {
			case err != nil:
				n.unknown(place, fixWith("vault read auth/MOUNT/role/ROLE; its audience should be %s", p.Audiences[0]), "%v", err)
			case !bound:
				n.warn(place, fix, "the role takes tokens of any audience, so that who is sent a token for another purpose can log in with it here")
			default:
				n.ok(place, "the role takes tokens of its own audience alone")
			}
		}
	})
}
