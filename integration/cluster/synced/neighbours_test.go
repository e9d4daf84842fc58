package synced

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

func TestHundredNamespaces(t *testing.T) {
	first := quiet(t)
	tenants := make([]*tenant, 100)
	for i := range tenants {
		tenants[i] = first.tenantIn(t, fmt.Sprintf("%s-%d", first.namespace, i))
		tenants[i].put("db", map[string]any{"value": fmt.Sprint("planted-", i)})
		tenants[i].class("db", one)
	}
	for i, n := range tenants {
		n.holds("db", map[string]string{"password": fmt.Sprint("planted-", i)})
	}
}

// A namespace whose classes all hang on a store that never answers takes nothing from
// others: they are synced while not one of its reads has ended, and go on to follow.
func TestANamespaceThatHangs(t *testing.T) {
	n := quiet(t)
	hangs := n.toVault()
	hangs.Add(faultproxy.Fault{Delay: time.Hour})
	hostile := n.tenantIn(t, n.namespace+"-hostile")
	const classes = 200
	for i := range classes {
		name := fmt.Sprint("hangs-", i)
		// The store has as many connections as there are classes.
		hostile.class(name, strings.NewReplacer("secretName: db", "secretName: "+name, "retries: 0", "retries: 5, timeout: "+fmt.Sprint(60_000-i)+"ms").Replace(through), "$address", hangs.Address)
	}
	n.eventually("its workers are all taken", func() error {
		if asked := hangs.MaxInFlight(); asked < 10 {
			return fmt.Errorf("%d reads are in flight", asked)
		}
		return nil
	})
	n.put("db", map[string]any{"value": "planted-0"})
	began := time.Now()
	n.class("db", one)
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"db"}}`)
	for i := range 4 {
		value := fmt.Sprint("planted-", i)
		n.put("db", map[string]any{"value": value})
		n.holds("db", map[string]string{"password": value})
		n.holds("by-sync", map[string]string{"pw": value})
	}
	t.Logf("four changes took %v", time.Since(began))
	for i := range classes {
		if status := hostile.status(fmt.Sprint("hangs-", i)); status == nil {
			return
		}
	}
	t.Error("the others were synced only after all that hang had been given up")
}
