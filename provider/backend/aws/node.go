package aws

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The ways in which the node itself gets credentials.
const (
	methodInstanceRole    = "instanceRole"
	methodWebIdentityFile = "webIdentityFile"
)

// nodeSession is the name of the node's sessions, which CloudTrail shows.
const nodeSession = "lanyard.node"

// maxTokenBytes bounds a file with a token.
const maxTokenBytes = 64 << 10

// Node says how the node itself gets credentials, for what it does on its own
// behalf. It stands in the operator's configuration alone.
type Node struct {
	// Method is instanceRole, which asks the instance metadata service, version
	// 2 alone, or webIdentityFile, which exchanges a token at STS.
	Method string `yaml:"method"`
	// TokenFile is the file with the token, read at each exchange, and Role the
	// ARN of the role that it is exchanged for.
	TokenFile string `yaml:"tokenFile"`
	Role      string `yaml:"role"`
	// Chain are the ARNs of roles that are assumed one after another.
	Chain []string `yaml:"chain"`
	// ExternalID is sent for each role of Chain, for trust policies that ask for it.
	ExternalID string `yaml:"externalID"`
	// STSEndpoint is where tokens are exchanged and roles assumed; empty means
	// the region's own.
	STSEndpoint string `yaml:"stsEndpoint"`
	// MetadataEndpoint is asked instead of the metadata service's own address.
	MetadataEndpoint string `yaml:"metadataEndpoint"`
}

// Check notes what is wrong with the settings, which stand in the field node.
func (n *Node) Check(problems *remote.Problems) {
	methods := []string{methodInstanceRole, methodWebIdentityFile}
	if !slices.Contains(methods, n.Method) {
		problems.Add("node.method", "%s", strict.Unknown("method", message.Excerpt(n.Method), methods))
		return
	}
	if len(n.Chain) > maxChained {
		problems.Add("node.chain", "has %d roles; the maximum is %d", len(n.Chain), maxChained)
	}
	if slices.ContainsFunc(n.Chain, func(role string) bool { return !roleARN.MatchString(role) }) {
		problems.Add("node.chain", "each %s", notRole)
	}
	checkExternalID("node", n.ExternalID, n.Chain, problems)
	checkEndpoint("node.stsEndpoint", n.STSEndpoint, problems)
	checkEndpoint("node.metadataEndpoint", n.MetadataEndpoint, problems)
	if n.Method == methodInstanceRole {
		if n.TokenFile != "" || n.Role != "" {
			problems.Add("node.tokenFile", "tokenFile and role are for the method webIdentityFile alone; put a role that is to be assumed after the instance's into node.chain")
		}
		return
	}
	if !filepath.IsAbs(n.TokenFile) {
		problems.Add("node.tokenFile", "must be the absolute path of a file on the node that holds a token")
	}
	if !roleARN.MatchString(n.Role) {
		problems.Add("node.role", notRole)
	}
	if n.MetadataEndpoint != "" {
		problems.Add("node.metadataEndpoint", "is for the method instanceRole alone; remove it")
	}
}

// methodPerson is no method that settings can name: see ConnectAsPerson.
const methodPerson = "person"

// KnowsPerson is true if the Platform finds the credentials of who runs the
// command.
func (p *Platform) KnowsPerson() bool { return p.person != nil }

// ConnectAsPerson is ConnectAsNode with the credentials of Options.Person.
func (p *Platform) ConnectAsPerson(storeType string, settings Settings) (*Access, error) {
	return p.ConnectAsNode(storeType, settings, Node{Method: methodPerson})
}

// ConnectAsNode is Connect for what the node does on its own behalf: every call is
// made with the node's credentials, whatever identity Call is given. node has
// passed Check.
func (p *Platform) ConnectAsNode(storeType string, settings Settings, node Node) (*Access, error) {
	access, err := p.Connect(storeType, settings)
	if err != nil {
		return nil, err
	}
	// The regional endpoints of STS are found with the pods' settings.
	access.settings.Auth.STSEndpoint = node.STSEndpoint
	access.node = &node
	return access, nil
}

// nodeCredentials are the node's, and their key in the cache.
func (a *Access) nodeCredentials(ctx context.Context, regions []string) (*grant, credential.Key, *CallError) {
	key := credential.Key{
		Method: "node " + a.node.Method, Audience: a.node.TokenFile, Issuer: "node " + a.node.Method + " " + a.node.MetadataEndpoint + " " + a.node.STSEndpoint + " " + strings.Join(regions, ",") + a.trusted,
		Role: strings.Join(append([]string{a.node.Role}, a.node.Chain...), " ") + " " + a.node.ExternalID,
	}
	granted, err := a.platform.credentials.Get(ctx, key, func(ctx context.Context) (awssdk.Credentials, time.Time, error) {
		got, failed := a.nodeExchange(ctx, regions)
		if failed != nil {
			return awssdk.Credentials{}, time.Time{}, failed
		}
		return got, got.Expires, nil
	})
	if err != nil {
		return nil, key, exchangeFailure(err)
	}
	return granted, key, nil
}

// nodeExchange gets the credentials of the last role.
func (a *Access) nodeExchange(ctx context.Context, regions []string) (got awssdk.Credentials, failed *CallError) {
	switch a.node.Method {
	case methodPerson:
		got, failed = a.personCredentials(ctx)
	case methodInstanceRole:
		got, failed = a.metadataCredentials(ctx)
	default:
		got, failed = a.fileCredentials(ctx, regions)
	}
	for _, next := range a.node.Chain {
		if failed != nil {
			break
		}
		before := got
		got, failed = a.callSTS(ctx, regions, func(ctx context.Context, client *sts.Client) (*types.Credentials, *CallError) {
			return assumeNext(ctx, client, next, a.node.ExternalID, session{name: nodeSession}, before)
		})
	}
	return got, failed
}

// personCredentials takes what the person's own tools would use. It is for the SDK to
// repeat what may pass, and its words are kept for their remedies.
func (a *Access) personCredentials(ctx context.Context) (awssdk.Credentials, *CallError) {
	found, err := a.platform.person.Retrieve(ctx)
	if err != nil {
		return awssdk.Credentials{}, failf(fault.ErrUnauthenticated, "no credentials of AWS were found for who runs this command: %s; log in as for the aws command, or set AWS_PROFILE", message.Excerpt(err.Error()))
	}
	if !found.CanExpire {
		found.Expires = a.platform.now().Add(personTime)
	}
	return found, nil
}

// personTime is after how long credentials that do not expire are looked for
// again.
const personTime = time.Hour

// fileCredentials exchanges the token of the file.
func (a *Access) fileCredentials(ctx context.Context, regions []string) (awssdk.Credentials, *CallError) {
	content, err := nodefile.Read(a.node.TokenFile, maxTokenBytes)
	if err != nil {
		return awssdk.Credentials{}, failf(fault.ErrUnauthenticated, "node.tokenFile: %v", err)
	}
	token := secret.NewString(strings.TrimSpace(string(content)))
	got, failed := a.callSTS(ctx, regions, func(ctx context.Context, client *sts.Client) (*types.Credentials, *CallError) {
		return assumeWithToken(ctx, client, a.node.Role, nodeSession, stsAudience, token)
	})
	if failed != nil && failed.Code == "ExpiredTokenException" {
		failed.Text = "AssumeRoleWithWebIdentity of " + a.node.Role + ": the token in " + a.node.TokenFile + " has expired; see to what renews it, or check the node's clock"
	}
	return got, failed
}

// metadataCredentials queries the instance metadata service, version 2.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
func (a *Access) metadataCredentials(ctx context.Context) (got awssdk.Credentials, failed *CallError) {
	client := imds.New(imds.Options{
		HTTPClient: a.nodeHTTP, Retryer: awssdk.NopRetryer{}, Endpoint: a.node.MetadataEndpoint,
		ClientEnableState: imds.ClientEnabled, EnableFallback: awssdk.FalseTernary,
	})
	provider := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client })
	failed = a.attempt(ctx, a.settings.Retries, 1, func(ctx context.Context) *CallError {
		var err error
		if got, err = provider.Retrieve(ctx); err != nil {
			return metadataFailure(err)
		}
		var failed *CallError
		got, failed = temporary(got, "the instance metadata service")
		return failed
	})
	return got, failed
}

func metadataFailure(err error) *CallError {
	f := Explain(err)
	if f.Code == "EmptyEC2RoleList" || statusOf(err) == 404 {
		f.Kind = fault.ErrUnauthenticated
	} else if !errors.Is(f, fault.ErrUnavailable) {
		f.Kind = fault.ErrUnavailable
	}
	f.credentials = false
	f.Text = "the instance metadata service: " + f.Text + "; check that the instance has a role, that its metadata service is on, and that http-put-response-hop-limit lets this process reach it (2 for a pod without the host's network)"
	return f
}
