package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Provider describes a provider under test, which runs while the points are
// checked. The functions may be called from several goroutines at once, but for
// Kill, Start, Fail and Recover.
type Provider struct {
	// Name is the provider's name in a SecretProviderClass; its socket is
	// <SocketDir>/<Name>.sock.
	Name, SocketDir string

	// Accounts are service accounts of which pods are made: at least one, and
	// two or more for the points on isolation.
	Accounts []Account
	// Put makes the value of a secret in the store what is given, such that
	// the provider lets owner's pods read it and no others. Names are of
	// lower-case letters, digits and dashes. It returns when a read would see
	// the value.
	Put func(ctx context.Context, owner Account, name string, value []byte) error
	// Delete removes a secret from the store.
	Delete func(ctx context.Context, owner Account, name string) error
	// Class is the parameters of a SecretProviderClass with these objects,
	// secrets of owner's. It is asked again before each mount, so a provider
	// whose values are in the class itself can put them there. An object may
	// name a secret that was never put, or was deleted.
	Class func(owner Account, objects []Object) (map[string]string, error)

	// Tokens are the pod's service account tokens by audience, as the kubelet
	// makes them for the tokenRequests that the provider documents. Nil if it
	// needs none.
	Tokens func(ctx context.Context, pod Pod) (map[string]Token, error)
	// Secrets are what the pod's nodePublishSecretRef holds. Nil if the
	// provider needs none.
	Secrets func(pod Pod) map[string]string

	// RotatesWithin is after how long at most a changed value must be in the
	// answer to a mount. Zero means two minutes.
	RotatesWithin time.Duration
	// Refresh is how old a value may be before the provider reads it again.
	// Zero means that each mount reads.
	Refresh time.Duration
	// Reads is how many times the provider has read the store so far. Nil if
	// that cannot be told.
	Reads func() int

	// LargestVolume is how many bytes the files of one volume may have
	// together at least. Zero means 3 MiB; more than that is not asked of
	// anyone.
	LargestVolume int
	// LargestValue is how many bytes a value of the store may have. Zero means
	// 128 KiB; larger ones are asked of nobody.
	LargestValue int
	// ManyObjects is how many objects a class may have at least. Zero means
	// 200.
	ManyObjects int

	// Kill ends the provider's process at once, as SIGKILL does, and Start
	// starts it again and returns when it serves. Both or neither.
	Kill, Start func(ctx context.Context) error
	// Fail makes the store unreachable and Recover reachable again. Both or
	// neither.
	Fail, Recover func(ctx context.Context) error

	// Lacks says of which optional points the provider does not have what they
	// ask, by ID, and the reason, which the report shows.
	Lacks map[string]string

	// ReportDir is the directory for the report, <test>.json and
	// <test>.junit.xml. Empty means the environment's CSI_CONFORMANCE_REPORT;
	// if that is empty too, none is written.
	ReportDir string

	clock clock // the wall clock but in tests of the suite itself
}

// Account is a service account.
type Account struct{ Namespace, Name string }

func (a Account) String() string { return a.Namespace + "/" + a.Name }

// Pod is a pod as the kubelet tells the driver of it.
type Pod struct {
	Account
	Name, UID string
}

// Token is a service account token as the kubelet passes it.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expirationTimestamp"`
}

// Object is one file that a class asks for.
type Object struct {
	// Name is the secret's, as in Put.
	Name string
	// Path is the file's, relative to the volume.
	Path string
	// Mode is the file's; zero means that the class says nothing of it.
	Mode fs.FileMode
}

const (
	defaultRotatesWithin = 2 * time.Minute
	defaultLargestVolume = 3 << 20
	defaultLargestValue  = 128 << 10
	minLargestValue      = 1 << 10
	defaultManyObjects   = 200
)

// complete fills in what was left out and says all that is wrong.
func (p *Provider) complete() error {
	var w wrongs
	if p.Name == "" || p.SocketDir == "" {
		w.add("Name and SocketDir: say where the socket is")
	}
	if len(p.Accounts) == 0 {
		w.add("Accounts: give at least one service account")
	}
	if p.Put == nil || p.Delete == nil || p.Class == nil {
		w.add("Put, Delete and Class: all three are needed to ask for anything")
	}
	if (p.Kill == nil) != (p.Start == nil) {
		w.add("Kill and Start: give both or neither")
	}
	if (p.Fail == nil) != (p.Recover == nil) {
		w.add("Fail and Recover: give both or neither")
	}
	points := Points()
	for id, reason := range p.Lacks {
		at := slices.IndexFunc(points, func(point Point) bool { return point.ID == id })
		switch {
		case at < 0:
			w.add("Lacks: there is no point %s", id)
		case !points[at].Optional:
			w.add("Lacks: point %s is not optional", id)
		case reason == "":
			w.add("Lacks: point %s needs a reason", id)
		}
	}
	if p.clock == nil {
		p.clock = wallClock{}
	}
	if p.RotatesWithin == 0 {
		p.RotatesWithin = defaultRotatesWithin
	}
	if p.LargestVolume == 0 {
		p.LargestVolume = defaultLargestVolume
	}
	if p.LargestValue == 0 {
		p.LargestValue = defaultLargestValue
	}
	if p.ManyObjects == 0 {
		p.ManyObjects = defaultManyObjects
	}
	if p.LargestVolume > defaultLargestVolume {
		w.add("LargestVolume: is above %d, which nobody is asked for", defaultLargestVolume)
	}
	if p.LargestValue < minLargestValue || p.LargestValue > defaultLargestValue {
		w.add("LargestValue: must be from %d to %d", minLargestValue, defaultLargestValue)
	}
	if len(w) > 0 {
		return fmt.Errorf("the description of the provider cannot be used: %w", errors.Join(w...))
	}
	return nil
}

// What a point may need of a Provider.

func twoAccounts(p *Provider) string {
	if len(p.Accounts) < 2 {
		return "only one service account is given"
	}
	return ""
}

func process(p *Provider) string {
	if p.Kill == nil {
		return "the process cannot be killed and started here"
	}
	return ""
}

func outage(p *Provider) string {
	if p.Fail == nil {
		return "the store cannot be made unreachable here"
	}
	return ""
}

func tokens(p *Provider) string {
	if p.Tokens == nil {
		return "the provider needs no service account tokens"
	}
	return ""
}

func noSecrets(p *Provider) string {
	if p.Secrets != nil {
		return "the provider needs nodePublishSecretRef"
	}
	return ""
}

func countedReads(p *Provider) string {
	if p.Reads == nil || p.Refresh == 0 {
		return "the reads of the store are not counted here, or every mount reads"
	}
	return ""
}
