package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
)

// namespaces is how many the attacker has.
const namespaces = 30

func namespace(i int) string { return fmt.Sprint("mallory-", i%namespaces) }

// attacker mounts classes of its own, and cares for no answer.
type attacker struct {
	*lab
	*evil
	// part is by how much an attack has fewer pods than it can have: all attacks
	// together have no more than a node has pods.
	part int
}

// attack is one way to harm others; it goes on until ctx ends.
type attack struct {
	name string
	run  func(ctx context.Context, a *attacker)
}

// again is after how long a kubelet tries a mount again that failed, at the earliest.
// https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/util/goroutinemap/exponentialbackoff/exponential_backoff.go
const again = 500 * time.Millisecond

// workers mounts with so many pods at once, again and again, what class returns for the
// nth mount. Each of the namespaces is one of the attacker's.
func (a *attacker) workers(ctx context.Context, count, spaces int, class func(n int) map[string]string) {
	count = (count + a.part - 1) / a.part
	var all sync.WaitGroup
	for w := range count {
		all.Go(func() {
			for n := w; ctx.Err() == nil; n += count {
				_, _ = a.mount(ctx, a.newPod(namespace(w%spaces), "mallory"), class(n))
				select {
				case <-ctx.Done():
				case <-time.After(again):
				}
			}
		})
	}
	all.Wait()
}

func repeat(key string, count int) []string {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s/k%d", key, i)
	}
	return keys
}

// templates is a class of 300 costly templates, without a store.
func templates(n int) map[string]string {
	var objects strings.Builder
	for i := range 300 {
		fmt.Fprintf(&objects, "- {path: f%d, template: '%s'}\n", i, costly(n))
	}
	return map[string]string{"objects": objects.String()}
}

// costly is a template that makes half a megabyte of text and changes it in several ways.
func costly(n int) string {
	const tenfold = `{{ $a = print $a $a $a $a $a $a $a $a $a $a }}`
	return fmt.Sprintf(`{{ $a := printf "%%1000d" %d }}%s%s{{ $a = print $a $a $a $a $a }}{{ $a | upper | replace " " "y" | title | b64enc | b64dec | toJson | len }}`, n, tenfold, tenfold)
}

// mistakes is a class in which thousands of things are wrong.
func mistakes(n int) map[string]string {
	return map[string]string{
		"stores":  "v: {type: aws-secrets-manager, region: eu-west-1, failoverRegions: [" + strings.Repeat("'a b', ", 16_000) + "]}",
		"objects": strings.Repeat("- {path: ../x, store: v, kee: k, options: {a: b}}\n", 4_000) + fmt.Sprint("#", n),
	}
}

// aliases is YAML that would be 8^25 elements long.
func aliases() string {
	bomb := "a: &a [x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	return bomb
}

func attacks(t *testing.T, e *evil) []attack {
	t.Helper()
	vault := e.azure.Vault("mallory-kv")
	vault.Grant(client, "*")
	vault.PutCertificate("pfx", azuretest.Certificate{Value: costlyPFX(t), ContentType: "application/x-pkcs12"})
	vault.PutCertificate("names", azuretest.Certificate{Value: azuretest.SameNames(t, 300), ContentType: "application/x-pem-file"})
	e.aws.Handle("AmazonSSM.GetParameters", func(awstest.Caller, json.RawMessage) (any, *awstest.Error) {
		return map[string]any{"Parameters": make([]struct{}, 5<<20)}, nil
	})
	hostile := func(count, spaces int, keys ...string) func(context.Context, *attacker) {
		return func(ctx context.Context, a *attacker) {
			a.workers(ctx, count, spaces, func(n int) map[string]string { return a.vaultClass(a.at(n%64), keys...) })
		}
	}
	return []attack{
		{"PFX with 2^63 rounds", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 4, 1, func(int) map[string]string {
				return a.azureClass("mallory-kv", "- {path: c, store: evil, key: certificates/pfx}\n")
			})
		}},
		{"300 certificates of one name", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 4, 1, func(int) map[string]string {
				return a.azureClass("mallory-kv", "- {path: c, store: evil, key: certificates/names}\n")
			})
		}},
		{"5 million parameters", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 4, 1, func(n int) map[string]string { return a.awsClass(fmt.Sprint("/p", n)) })
		}},
		{"64 values of 4.1 MB", hostile(4, 1, repeat("size/4100000", 64)...)},
		{"70 pods of 4 MB", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 70, 1, func(n int) map[string]string {
				return a.vaultClass(a.at(0), repeat(fmt.Sprintf("size/%d", 950_000+n), 4)...)
			})
		}},
		{"300 costly templates", func(ctx context.Context, a *attacker) { a.workers(ctx, 12, 1, templates) }},
		{"thousands of mistakes", func(ctx context.Context, a *attacker) { a.workers(ctx, 8, 1, mistakes) }},
		{"1 MiB of property", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 4, 1, func(n int) map[string]string {
				property := strings.Repeat("a.", 450_000) + fmt.Sprint("a", n)
				return map[string]string{
					"stores":  a.vaultClass(a.at(0))["stores"],
					"objects": "- {path: o, store: evil, key: size/1/x, property: " + property + "}\n",
				}
			})
		}},
		{"1,000 leases that hang", hostile(16, 1, repeat("lease/10", 16)...)},
		{"leased values of 4 MB", hostile(8, 1, repeat("lease/550000", 7)...)},
		{"hanging reads", hostile(128, 1, repeat("hang", 64)...)},
		{"hanging reads in 30 namespaces", hostile(300, namespaces, repeat("hang", 16)...)},
		{"bodies that drip", hostile(128, namespaces, repeat("drip", 8)...)},
		{"bodies without an end", hostile(8, 1, repeat("endless", 8)...)},
		{"1 MB of headers", hostile(16, 1, repeat("headers", 16)...)},
		{"compressed bombs", hostile(8, 1, repeat("gzip", 8)...)},
		{"JSON a million deep", hostile(8, 1, repeat("deep", 8)...)},
		{"JSON of 100,000 keys", hostile(4, 1, repeat("keys/100000", 8)...)},
		{"redirects", hostile(16, 1, repeat("redirect", 16)...)},
		{"800 status codes", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 8, 1, func(n int) map[string]string { return a.vaultClass(a.at(0), fmt.Sprintf("status/%d/x", 200+n%800)) })
		}},
		{"errors with escapes", hostile(16, 1, repeat("echo", 16)...)},
		{"a new class each time", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 16, namespaces, func(n int) map[string]string {
				return a.vaultClass(a.at(n%1000), repeat(fmt.Sprint("size/", n), 200)...)
			})
		}},
		{"requests of 900 KB", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 16, 1, func(n int) map[string]string {
				return map[string]string{"objects": strings.Repeat("- {path: a, template: x}\n", 36_000) + fmt.Sprint("#", n)}
			})
		}},
		{"100,000 parameters", func(ctx context.Context, a *attacker) {
			a.workers(ctx, 16, 1, func(n int) map[string]string {
				class := map[string]string{"objects": fmt.Sprint("- {path: a, template: ", n, "}")}
				for i := range 100_000 {
					class[strconv.Itoa(i)] = ""
				}
				return class
			})
		}},
		{"YAML aliases", func(ctx context.Context, a *attacker) {
			bomb := aliases()
			a.workers(ctx, 8, 1, func(int) map[string]string { return map[string]string{"stores": bomb, "objects": bomb} })
		}},
		{"4,000 connections to the admin port", func(ctx context.Context, a *attacker) {
			address := strings.TrimPrefix(a.provider.Admin, "http://")
			for range 4000 {
				connection, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					break
				}
				defer connection.Close()
			}
			<-ctx.Done()
		}},
		{"the lock of the socket directory", func(ctx context.Context, a *attacker) {
			lock := exec.CommandContext(ctx, "flock", "-x", a.provider.SocketDir, "sleep", "600")
			lock.Cancel = func() error { return lock.Process.Signal(os.Interrupt) }
			_ = lock.Run()
		}},
	}
}
