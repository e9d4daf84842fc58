// Package aws is what the stores and key services of AWS share: the regions that
// are asked and in which order, the role that a pod acts as and its credentials,
// the connections, and what a failure means.
//
// A pod's identity becomes credentials by its own token alone: IAM roles for
// service accounts (IRSA) exchange it at STS, EKS Pod Identity at the agent on
// the node; a chain of further roles may follow. The package never reads AWS_*
// or proxy variables of its environment, shared configuration files or the
// node's instance profile (a command's options hand it what they lead to), never lets one service account use another's
// credentials, and never repeats a token in an error.
//
// Start with New and Platform.Connect; Access.Call is how every call is made. The
// calls themselves go through the service clients of
// github.com/aws/aws-sdk-go-v2 with its own repetitions switched off, because
// those neither know how much time the mount has left nor what failed last.
package aws

import (
	"context"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// maxAnswerBytes bounds an answer: a batch of twenty secrets of 64 KiB, each byte of
// them escaped.
const maxAnswerBytes = 16 << 20

// Cluster answers what the cluster's objects say of a pod's place in AWS.
type Cluster interface {
	credential.Cluster
	// NodeLabel is a label of the node that this process runs on; empty if it
	// has none. The error wraps a kind of package fault.
	NodeLabel(ctx context.Context, name string) (string, error)
}

// Options are what a Platform is made of.
type Options struct {
	// Tokens gets the pods' service account tokens; nil takes those that the
	// driver passed.
	Tokens identity.TokenSource
	// Cluster answers for classes that name no role or region; nil means that
	// such classes fail with what to add.
	Cluster Cluster
	// Calls bounds the calls in flight; nil allows 64 at each address.
	Calls *remote.Calls
	// Person finds the credentials of who runs a command, for NodePerson; nil
	// where pods are served.
	Person awssdk.CredentialsProvider
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Platform is AWS as one process uses it: one pool of connections and one cache
// of credentials for all stores, however many classes open them. It is safe for
// concurrent use.
type Platform struct {
	tokens      identity.TokenSource
	cluster     Cluster
	person      awssdk.CredentialsProvider
	now         func() time.Time
	transports  *remote.Transports
	credentials *credential.Cache[awssdk.Credentials]
	facts       *credential.Facts
}

// New returns a Platform that works until Close.
func New(opts Options) *Platform {
	remote.Defaults(&opts.Tokens, &opts.Calls, &opts.Now)
	return &Platform{
		tokens: opts.Tokens, cluster: opts.Cluster, person: opts.Person, now: opts.Now, transports: remote.NewTransports(remote.Options{Calls: opts.Calls, MaxAnswer: maxAnswerBytes, Person: opts.Person != nil}),
		credentials: credential.New[awssdk.Credentials](credential.Options{Calls: opts.Calls, StoreType: "aws", Now: opts.Now}),
		facts:       credential.NewFacts(opts.Now),
	}
}

// Close ends the exchanges under way and forgets every credential. No call may
// be under way or follow.
func (p *Platform) Close() {
	p.credentials.Close()
	p.facts.Close()
}
