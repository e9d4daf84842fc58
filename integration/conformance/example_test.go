package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/conformance"
)

// A provider's project has one such test. Here the store is a Vault whose policies
// let each service account read what lies below its name.
func ExampleRun() {
	var vault interface {
		Put(ctx context.Context, path string, value []byte) error
		Delete(ctx context.Context, path string) error
	}
	path := func(owner conformance.Account, name string) string {
		return "secret/" + owner.Namespace + "/" + owner.Name + "/" + name
	}

	// func TestConformance(t *testing.T)
	_ = func(t *testing.T) {
		conformance.Run(t, conformance.Provider{
			Name:      "mine", // the socket is /run/providers/mine.sock
			SocketDir: "/run/providers",
			Accounts:  []conformance.Account{{Namespace: "shop", Name: "web"}, {Namespace: "shop", Name: "api"}},
			Put: func(ctx context.Context, owner conformance.Account, name string, value []byte) error {
				return vault.Put(ctx, path(owner, name), value)
			},
			Delete: func(ctx context.Context, owner conformance.Account, name string) error {
				return vault.Delete(ctx, path(owner, name))
			},
			// The parameters of a SecretProviderClass of this provider.
			Class: func(owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
				files := map[string]string{}
				for _, object := range objects {
					files[object.Path] = path(owner, object.Name)
				}
				text, err := json.Marshal(files)
				return map[string]string{"objects": string(text)}, err
			},
			RotatesWithin: 10 * time.Second,
			Lacks:         map[string]string{"M-08": "every file has the mode of the request"},
		})
	}
}

// A description that lacks what every provider has is refused before any point
// is checked.
func ExampleCheck() {
	report, err := conformance.Check(context.Background(), conformance.Provider{Name: "mine", SocketDir: "/run/providers"})
	if err != nil {
		fmt.Println("the description cannot be used")
		return
	}
	if ids := report.Fails(); len(ids) > 0 {
		log.Fatalf("%d points fail: %v", len(ids), ids)
	}

	// Output: the description cannot be used
}

// Every point has its reason, for whoever has to decide what to fix first.
func ExamplePoints() {
	for _, point := range conformance.Points() {
		if point.ID == "M-04" {
			fmt.Println(point.Promise)
			fmt.Println(point.Why)
			fmt.Println(point.Source)
		}
	}

	// Output:
	// the ids of the object versions are unique
	// of two with one id the driver keeps the last, and rotation of the other goes unseen
	// provider/v1alpha1/service.proto: ObjectVersion
}
