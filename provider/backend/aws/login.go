package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// credentialsFor returns the identity's credentials and their key in the cache.
func (a *Access) credentialsFor(ctx context.Context, as identity.Identity, regions []string) (*grant, credential.Key, *CallError) {
	if a.node != nil {
		return a.nodeCredentials(ctx, regions)
	}
	auth := &a.settings.Auth
	role := auth.Role
	if auth.Method == methodWebIdentity && role == "" {
		annotated, err := a.platform.annotatedRole(ctx, as)
		if err != nil {
			return nil, credential.Key{}, exchangeFailure(err)
		}
		role = annotated
	}
	issuer := auth.Method + " " + strings.Join(auth.agents(), ",")
	if auth.Method == methodWebIdentity {
		issuer = auth.Method
	}
	key := credential.Key{
		Identity: as.Key(), Audience: auth.audience(), Method: auth.Method,
		// Whatever leads to other credentials, or to others who grant them.
		Issuer: fmt.Sprintf("%s %q %q %t %t%s", issuer, auth.STSEndpoint, regions, a.settings.FIPS, a.settings.DualStack, a.trusted),
		Role:   strings.Join(append([]string{role}, auth.Chain...), " ") + " " + auth.ExternalID + " " + auth.sessionKey(),
	}
	granted, err := a.platform.credentials.Get(ctx, key, func(ctx context.Context) (awssdk.Credentials, time.Time, error) {
		return a.exchange(ctx, as, role, regions)
	})
	if err != nil {
		return nil, key, exchangeFailure(err)
	}
	return granted, key, nil
}

// exchangeFailure is an error of the cache or of what it was asked for.
func exchangeFailure(err error) *CallError {
	var failed *CallError
	if errors.As(err, &failed) {
		// It is shared by all who waited, and each adds to its text.
		own := *failed
		return &own
	}
	if remote.HasKind(err) {
		return &CallError{Kind: fault.Of(err).Err, Text: err.Error()}
	}
	return &CallError{Kind: fault.ErrUnavailable, Text: err.Error()}
}

// exchange turns the pod's token into the credentials of the last role.
func (a *Access) exchange(ctx context.Context, as identity.Identity, role string, regions []string) (awssdk.Credentials, time.Time, error) {
	auth := &a.settings.Auth
	token, err := a.platform.tokens.Token(ctx, as, auth.audience())
	if err != nil {
		kind := fault.ErrUnavailable
		if errors.Is(err, identity.ErrNoToken) {
			kind = fault.ErrUnauthenticated
		}
		return awssdk.Credentials{}, time.Time{}, &CallError{Kind: kind, Text: err.Error(), cause: err}
	}
	called, failed := auth.session(as)
	if failed != nil {
		return awssdk.Credentials{}, time.Time{}, failed
	}
	var got awssdk.Credentials
	if auth.Method == methodPodIdentity {
		got, failed = a.agentCredentials(ctx, token.JWT)
	} else {
		got, failed = a.callSTS(ctx, regions, func(ctx context.Context, client *sts.Client) (*types.Credentials, *CallError) {
			return assumeWithToken(ctx, client, role, called.name, auth.audience(), token.JWT)
		})
	}
	for _, next := range auth.Chain {
		if failed != nil {
			break
		}
		before := got
		got, failed = a.callSTS(ctx, regions, func(ctx context.Context, client *sts.Client) (*types.Credentials, *CallError) {
			return assumeNext(ctx, client, next, auth.ExternalID, called, before)
		})
	}
	if failed != nil {
		return awssdk.Credentials{}, time.Time{}, failed
	}
	return got, got.Expires, nil
}

// stsOptions are those of a region's STS. An endpoint of the settings is the one
// that is meant, of whatever kind; the SDK refuses it beside a kind.
func (a *Access) stsOptions(region string) sts.Options {
	options := sts.Options{
		Region: region, HTTPClient: a.stsHTTP, Retryer: awssdk.NopRetryer{},
		BaseEndpoint: endpointIn(a.settings.Auth.STSEndpoint, region),
	}
	if options.BaseEndpoint == nil {
		options.EndpointOptions = sts.EndpointResolverOptions{UseFIPSEndpoint: a.FIPS(), UseDualStackEndpoint: a.DualStack()}
	}
	return options
}

// callSTS calls the STS of each region in turn until one answers, and then all of
// them again a bounded number of times: what it answers is the same in all of a
// partition, so that one that keeps silent is not waited for, and is asked last
// for a while.
func (a *Access) callSTS(ctx context.Context, regions []string, call func(context.Context, *sts.Client) (*types.Credentials, *CallError)) (awssdk.Credentials, *CallError) {
	var got *types.Credentials
	order := a.sts.order(regions, a.platform.now())
	failed := a.attempt(ctx, a.settings.Retries, 1, func(ctx context.Context) (failed *CallError) {
		for n, i := range order {
			client := sts.New(a.stsOptions(regions[i]))
			share, cancel := shareOf(ctx, len(order)-n)
			failed = a.attempt(share, 0, len(order), func(ctx context.Context) (failed *CallError) {
				got, failed = call(ctx, client)
				failed.from(speaker(a.settings.Networks.STS, a.settings.Auth.STSEndpoint, regions[i]))
				return failed
			})
			cancel()
			if failed == nil {
				a.sts.answered(regions[i])
			}
			if failed == nil || !errors.Is(failed, fault.ErrUnavailable) {
				break
			}
			if failed.ofSTS() && ctx.Err() == nil {
				a.sts.failed(regions[i], failed.Text, a.platform.now())
			}
		}
		return failed
	})
	if failed != nil {
		return awssdk.Credentials{}, failed
	}
	if got == nil {
		got = &types.Credentials{}
	}
	return temporary(awssdk.Credentials{
		AccessKeyID: awssdk.ToString(got.AccessKeyId), SecretAccessKey: awssdk.ToString(got.SecretAccessKey), SessionToken: awssdk.ToString(got.SessionToken),
		CanExpire: true, Expires: awssdk.ToTime(got.Expiration),
	}, "STS")
}

// temporary returns what by granted, if it is whole.
func temporary(got awssdk.Credentials, by string) (awssdk.Credentials, *CallError) {
	if got.AccessKeyID == "" || got.SecretAccessKey == "" || got.SessionToken == "" || !got.CanExpire || got.Expires.IsZero() {
		return awssdk.Credentials{}, failf(fault.ErrUnavailable, "%s answered without whole credentials; look at what stands between the node and AWS", by)
	}
	return got, nil
}

// ofRole returns the credentials of an answer that is about the session of the role.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumedRoleUser.html
func ofRole(got *types.Credentials, user *types.AssumedRoleUser, role, session string) (*types.Credentials, *CallError) {
	if user == nil {
		user = &types.AssumedRoleUser{}
	}
	is, requested := strings.Split(awssdk.ToString(user.Arn), ":"), strings.Split(role, ":")
	name := role[strings.LastIndex(role, "/")+1:]
	if len(is) != 6 || len(requested) != 6 || is[4] != requested[4] || is[5] != "assumed-role/"+name+"/"+session {
		return nil, failf(fault.ErrUnavailable, "STS answered with the credentials of another role than %s; look at what stands between the node and AWS", message.Excerpt(role))
	}
	return got, nil
}

// keysUnreached is how STS says, under the code of tokens that it refuses, that it
// could not fetch the issuer's keys just now: it has judged nothing.
// https://repost.aws/knowledge-center/iam-sts-invalididentitytoken
const keysUnreached = "Couldn't retrieve verification key from your identity provider"

// ofSTS is true if it is STS itself that was unavailable: neither the issuer whose
// keys it fetches, nor a turn to make the call.
func (f *CallError) ofSTS() bool {
	return f.Code != "InvalidIdentityToken" && f.Code != "IDPCommunicationError" && !errors.Is(f, remote.ErrNoSlot)
}

// assumeWithToken is the exchange of IRSA.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func assumeWithToken(ctx context.Context, client *sts.Client, role, session, audience string, token secret.Bytes) (*types.Credentials, *CallError) {
	raw := token.RevealString()
	answer, err := client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &role, RoleSessionName: &session, WebIdentityToken: &raw,
	})
	if err == nil {
		return ofRole(answer.Credentials, answer.AssumedRoleUser, role, session)
	}
	f := Explain(err, token)
	f.Text = fmt.Sprintf("AssumeRoleWithWebIdentity of %s: %s", message.Excerpt(role), f.Text)
	switch {
	case f.Code == "InvalidIdentityToken" && strings.Contains(f.Text, keysUnreached):
		f.Kind = fault.ErrUnavailable
		f.Text += "; if it stays so, check that the cluster's issuer answers with /.well-known/openid-configuration and its keys within 5 seconds to anyone"
	case f.Code == "InvalidIdentityToken" || f.Code == "IDPRejectedClaim":
		f.Kind = fault.ErrUnauthenticated
		f.Text += fmt.Sprintf("; check that IAM has an OpenID Connect provider for this cluster's issuer, and that its client IDs hold %s", message.Excerpt(audience))
	case f.Code == "ExpiredTokenException":
		f.Kind, f.credentials = fault.ErrUnauthenticated, false
		f.Text = fmt.Sprintf("AssumeRoleWithWebIdentity of %s: the pod's token has expired; set requiresRepublish: true on the CSIDriver secrets-store.csi.k8s.io, or check the node's clock", message.Excerpt(role))
	case f.Code == "AccessDenied":
		f.Text += "; check that the role exists and that its trust policy allows this service account (sub) and audience (aud)"
	case f.Code == "RegionDisabledException":
		f.Text += "; switch STS on for the region in the account, or name another region"
	}
	return nil, f
}

// assumeNext is a further role of a chain.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func assumeNext(ctx context.Context, client *sts.Client, role, externalID string, called session, as awssdk.Credentials) (*types.Credentials, *CallError) {
	input := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &called.name, Tags: called.tags}
	if externalID != "" {
		input.ExternalId = &externalID
	}
	answer, err := client.AssumeRole(ctx, input, func(o *sts.Options) {
		o.Credentials = credentials.StaticCredentialsProvider{Value: as}
	})
	if err == nil {
		return ofRole(answer.Credentials, answer.AssumedRoleUser, role, called.name)
	}
	f := Explain(err)
	f.Text = fmt.Sprintf("AssumeRole of %s (auth.chain): %s", message.Excerpt(role), f.Text)
	if f.Code == "PackedPolicyTooLarge" {
		f.Text += "; give fewer or shorter tags in auth.tags"
	}
	if errors.Is(f, fault.ErrDenied) && len(called.tags) > 0 {
		f.Text += "; check that its trust policy allows sts:TagSession with the tags of auth.tags to the role before it, as does that role's own policy"
	}
	if errors.Is(f, fault.ErrDenied) {
		f.Text += "; check that the role exists, that its trust policy allows the role before it with the external ID of auth.externalID if it asks for one, and that that role may assume it"
	}
	return nil, f
}
