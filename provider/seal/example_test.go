package seal_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// A developer seals to the public key, and the provider opens the text for the
// one workload that it names.
func Example() {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ring, err := seal.NewKeyRing("production", now)
	if err != nil {
		log.Fatal(err)
	}

	// The developer has the public key alone.
	text, err := seal.Seal(ring.Public(), seal.Scope{
		Cluster:        seal.Exact("production"),
		Namespace:      seal.Exact("shop"),
		ServiceAccount: seal.Exact("web"),
		Object:         seal.Exact("db/password"),
	}, secret.NewString("hunter2"))
	if err != nil {
		log.Fatal(err)
	}

	// The provider has the ring, and knows which pod asks.
	sealed, err := seal.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	web := identity.Identity{Cluster: "production", Namespace: "shop", ServiceAccount: "web"}
	value, err := sealed.Open(context.Background(), seal.Keys{Ring: ring}, web, "db/password", now)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(value)
	fmt.Printf("%s\n", value.Reveal())

	// Output:
	// [redacted]
	// hunter2
}

// A scope may leave names open and may end. Match tells who is refused without a
// key.
func ExampleScope_Match() {
	scope := seal.Scope{
		Cluster:        seal.Exact("production"),
		Namespace:      seal.Exact("shop"),
		ServiceAccount: seal.Any(),
		Object:         seal.Exact("db/password"),
		NotAfter:       time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	inMay := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	shop := identity.Identity{Cluster: "production", Namespace: "shop", ServiceAccount: "worker"}
	bank := identity.Identity{Cluster: "production", Namespace: "bank", ServiceAccount: "worker"}

	fmt.Println(scope.Match(shop, "db/password", inMay))
	fmt.Println(errors.Is(scope.Match(bank, "db/password", inMay), seal.ErrOtherNamespace))
	fmt.Println(errors.Is(scope.Match(shop, "db/password", inMay.AddDate(1, 0, 0)), seal.ErrExpired))

	// Output:
	// <nil>
	// true
	// true
}

// After a rotation the old values still open. After the old key is retired they
// do not.
func ExampleKeyRing_Rotate() {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	first, err := seal.NewKeyRing("", now)
	if err != nil {
		log.Fatal(err)
	}
	everybody := seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}
	text, err := seal.Seal(first.Public(), everybody, secret.NewString("hunter2"))
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := seal.Parse(text)
	if err != nil {
		log.Fatal(err)
	}

	rotated, err := first.Rotate(now.AddDate(0, 6, 0))
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range rotated.Keys() {
		fmt.Println(key.State)
	}
	retired, err := rotated.Retire(sealed.KeyID())
	if err != nil {
		log.Fatal(err)
	}

	web := identity.Identity{Namespace: "shop", ServiceAccount: "web"}
	for _, ring := range []*seal.KeyRing{rotated, retired} {
		_, err = sealed.Open(context.Background(), seal.Keys{Ring: ring}, web, "password", now)
		fmt.Println(err == nil, errors.Is(err, seal.ErrRetiredKey))
	}

	// Output:
	// read
	// write
	// true false
	// false true
}

// A signature says who sealed a value. Signatures name the sealers that are
// trusted for a namespace.
func ExampleSignedBy() {
	ring, err := seal.NewKeyRing("", time.Now())
	if err != nil {
		log.Fatal(err)
	}
	pipeline, err := seal.NewSealer("pipeline")
	if err != nil {
		log.Fatal(err)
	}
	everybody := seal.Scope{Cluster: seal.Any(), Namespace: seal.Any(), ServiceAccount: seal.Any(), Object: seal.Any()}

	signatures := &seal.Signatures{
		Trusted: []seal.TrustedSealer{{Key: pipeline.Public(), Namespaces: []string{"shop-*"}}},
	}
	for _, options := range [][]seal.Option{{seal.SignedBy(pipeline)}, nil} {
		text, err := seal.Seal(ring.Public(), everybody, secret.NewString("hunter2"), options...)
		if err != nil {
			log.Fatal(err)
		}
		sealed, err := seal.Parse(text)
		if err != nil {
			log.Fatal(err)
		}
		err = signatures.Check(sealed, "shop-eu", nil)
		fmt.Println(err == nil, errors.Is(err, seal.ErrUnsigned))
	}

	// Output:
	// true false
	// false true
}
