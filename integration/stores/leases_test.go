package stores

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/postgres"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// database is a PostgreSQL whose users the fixture's Vault makes.
type database struct {
	*fixture
	server *postgres.Server
	mount  string
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{fixture: newFixture(t, shared), server: postgres.New(t)}
	d.mount = d.name + "-db"
	d.fixture.mount(t, d.mount, "database", nil)
	d.policy(t, d.mount)
	d.Must(t, "POST", d.mount+"/config/pg", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
		"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%s/postgres?sslmode=disable", d.server.Port),
		"username":       d.server.User, "password": d.server.Password,
	})
	return d
}

// creds makes a database role and returns the reference to its credentials.
func (d *database) creds(t *testing.T, role, ttl, most string) store.Reference {
	t.Helper()
	d.Must(t, "POST", d.mount+"/roles/"+role, map[string]any{
		"db_name": "pg", "default_ttl": ttl, "max_ttl": most,
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
	})
	return store.Reference{Key: d.mount + "/creds/" + role}
}

// about fails the test unless the lease has that much time left.
func about(t *testing.T, lease *store.Lease, want time.Duration) {
	t.Helper()
	if lease == nil {
		t.Fatal("no lease")
	}
	if left := time.Until(lease.Expires); left > want+time.Second || left < want-5*time.Second {
		t.Errorf("the lease ends in %v, want about %v", left, want)
	}
}

func TestDynamicCredentials(t *testing.T) {
	d := newDatabase(t)

	t.Run("work, are different each time, and are renewed", func(t *testing.T) {
		s, ref := open(t, d.settings()), d.creds(t, "plain", "1m", "1h")
		first, second := mustRead(t, s, d.pod, ref), mustRead(t, s, d.pod, ref)
		user, password := field(t, first, "username"), field(t, first, "password")
		if got, err := d.server.Query(user, password, "select current_user"); err != nil || got != user {
			t.Errorf("the credentials give %q, %v", got, err)
		}
		if user == field(t, second, "username") {
			t.Error("two reads gave one credential")
		}
		about(t, first.Lease, time.Minute)
		before := first.Lease.Expires
		time.Sleep(1100 * time.Millisecond)
		renewed, err := first.Lease.Renew(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		about(t, renewed, time.Minute)
		if !renewed.Expires.After(before) || renewed.Renew == nil {
			t.Errorf("renewed from %v to %v", before, renewed.Expires)
		}
	})

	t.Run("end at the role's maximum however often they are renewed", func(t *testing.T) {
		s, ref := open(t, d.settings()), d.creds(t, "short", "20s", "21s")
		value := mustRead(t, s, d.pod, ref)
		end := value.Lease.Expires.Add(time.Second)
		time.Sleep(3 * time.Second)
		renewed, err := value.Lease.Renew(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if renewed.Expires.After(end.Add(time.Second)) || renewed.Duration > 19*time.Second {
			t.Errorf("renewed for %v to %v, beyond the maximum at %v", renewed.Duration, renewed.Expires, end)
		}
	})

	t.Run("end with the login that made them", func(t *testing.T) {
		d.role(t, map[string]any{"token_ttl": "10s", "token_max_ttl": "12s"})
		defer d.role(t, nil)
		s, ref := open(t, d.settings()), d.creds(t, "long", "1h", "2h")
		value := mustRead(t, s, d.pod, ref)
		about(t, value.Lease, 10*time.Second)
		time.Sleep(5 * time.Second)
		renewed, err := value.Lease.Renew(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		about(t, renewed, 7*time.Second)
		if d.proxy.Count("", "auth/token/renew-self") != 1 {
			t.Error("the login was not renewed with the lease")
		}
	})

	t.Run("keep their login alive", func(t *testing.T) {
		d.role(t, map[string]any{"token_ttl": "4s", "token_max_ttl": "1h"})
		defer d.role(t, nil)
		s, ref := open(t, d.settings()), d.creds(t, "kept", "1h", "2h")
		value := mustRead(t, s, d.pod, ref)
		user, password := field(t, value, "username"), field(t, value, "password")
		for range 4 {
			time.Sleep(2 * time.Second)
			renewed, err := value.Lease.Renew(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			value.Lease = renewed
		}
		if _, err := d.server.Query(user, password, "select 1"); err != nil {
			t.Errorf("after twice its login's life: %v", err)
		}
	})

	t.Run("that were revoked say so for good", func(t *testing.T) {
		s, ref := open(t, d.settings()), d.creds(t, "revoked", "1m", "1h")
		value := mustRead(t, s, d.pod, ref)
		d.Must(t, "PUT", "sys/leases/revoke-prefix/"+ref.Key, nil)
		if _, err := value.Lease.Renew(t.Context()); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "cannot be renewed") {
			t.Errorf("Renew of a revoked lease: %v", err)
		}
	})

	t.Run("whose login was revoked say so for good", func(t *testing.T) {
		s, ref := open(t, d.settings()), d.creds(t, "orphaned", "1m", "1h")
		value := mustRead(t, s, d.pod, ref)
		d.Must(t, "POST", "sys/leases/revoke-prefix/auth/"+d.jwt(), nil)
		if _, err := value.Lease.Renew(t.Context()); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "its login token was revoked") {
			t.Errorf("Renew after the login was revoked: %v", err)
		}
	})

	t.Run("of a login with few uses are not renewed but work", func(t *testing.T) {
		d.role(t, map[string]any{"token_num_uses": 5})
		defer d.role(t, nil)
		s, ref := open(t, d.settings()), d.creds(t, "counted", "1m", "1h")
		value := mustRead(t, s, d.pod, ref)
		if value.Lease == nil || value.Lease.Renew != nil {
			t.Errorf("lease %+v, want one that cannot be renewed", value.Lease)
		}
		for range 10 {
			mustRead(t, s, d.pod, ref)
		}
		if _, err := d.server.Query(field(t, value, "username"), field(t, value, "password"), "select 1"); err != nil {
			t.Errorf("the first credential after ten more reads: %v", err)
		}
	})

	t.Run("of a batch login", func(t *testing.T) {
		d.role(t, map[string]any{"token_type": "batch", "token_ttl": "20s"})
		defer d.role(t, nil)
		value := mustRead(t, open(t, d.settings()), d.pod, d.creds(t, "batch", "1m", "1h"))
		about(t, value.Lease, 20*time.Second)
	})

	t.Run("survive the end of the store", func(t *testing.T) {
		s, ref := open(t, d.settings()), d.creds(t, "closed", "1m", "1h")
		value := mustRead(t, s, d.pod, ref)
		s.Close()
		if _, err := d.server.Query(field(t, value, "username"), field(t, value, "password"), "select 1"); err != nil {
			t.Errorf("after Close: %v", err)
		}
	})
}
