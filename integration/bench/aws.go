package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/aws/awstest"
)

const (
	awsRegion   = "eu-west-1"
	awsAudience = "sts.amazonaws.com"
	// awsDelay is what each call of the server for tests takes.
	awsDelay = 10 * time.Millisecond
)

// awsLab is an AWS with a role for service accounts of the benchmark.
type awsLab struct {
	*lab
	server *awstest.Server
	tokens *issuer.Issuer
	config string
}

// startAWS starts an AWS that holds 20 secrets and 30 parameters, which the
// service accounts may read.
func (l *lab) startAWS(refresh time.Duration, accounts []string) (*awsLab, error) {
	tokens, err := issuer.New()
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(tokens.PublicKeyPEM()))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	a := &awsLab{lab: l, server: awstest.Start(), tokens: tokens}
	a.server.Trust(issuer.Name, key)
	role := awstest.Role{Reads: []string{"*"}}
	for _, account := range accounts {
		role.Accounts = append(role.Accounts, namespace+"/"+account)
	}
	arn := a.server.PutRole(awsRole, role)
	for i := range awsParameters {
		a.server.PutParameter(awsRegion, fmt.Sprintf("/bench/%02d", i), "SecureString", strings.Repeat("v", smallBytes))
		a.server.PutSecret(awsRegion, fmt.Sprintf("bench/%02d", i), strings.Repeat("v", smallBytes))
	}
	a.server.Add(awstest.Fault{Delay: awsDelay})
	a.config = fmt.Sprintf("cluster: bench\ncache: {refresh: %s}\nstores:\n", refresh)
	for name, typeName := range map[string]string{"secrets": "aws-secrets-manager", "parameters": "aws-parameter-store"} {
		a.config += fmt.Sprintf("  %s: {type: %s, region: %s, endpoint: '%[4]s', auth: {role: '%[5]s', stsEndpoint: '%[4]s'}}\n", name, typeName, awsRegion, a.server.URL, arn)
	}
	return a, nil
}

const (
	awsRole       = "bench"
	awsSecrets    = 20
	awsParameters = 30
)

// awsClass is a class of as many secrets and parameters as the figures speak of.
func awsClass(secrets, parameters int) map[string]string {
	var list strings.Builder
	for i := range secrets {
		fmt.Fprintf(&list, "- {path: secret-%02d, store: secrets, key: bench/%02d}\n", i, i)
	}
	for i := range parameters {
		fmt.Fprintf(&list, "- {path: parameter-%02d, store: parameters, key: /bench/%02d}\n", i, i)
	}
	return map[string]string{"objects": list.String()}
}

// request is that of the service account's nth pod, with a token for STS.
func (a *awsLab) request(account string, n int, class map[string]string) (*v1alpha1.MountRequest, error) {
	made, err := a.lab.request(account, n, class)
	if err != nil {
		return nil, err
	}
	who := claims(account, n)
	who.Audience = awsAudience
	token, err := a.tokens.Token(who)
	if err != nil {
		return nil, err
	}
	tokens, err := json.Marshal(map[string]any{awsAudience: map[string]any{"token": token, "expirationTimestamp": who.Expires}})
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{}
	if err := json.Unmarshal([]byte(made.GetAttributes()), &attributes); err != nil {
		return nil, err
	}
	attributes["csi.storage.k8s.io/serviceAccount.tokens"] = string(tokens)
	text, err := json.Marshal(attributes)
	made.Attributes = string(text)
	return made, err
}

// calls are those since the last time.
func (a *awsLab) calls() calls {
	defer a.server.ResetCalls()
	return calls{
		Logins: a.server.Calls("sts:AssumeRoleWithWebIdentity"),
		Reads:  a.server.Calls("secretsmanager:BatchGetSecretValue") + a.server.Calls("secretsmanager:GetSecretValue") + a.server.Calls("ssm:GetParameters"),
	}
}

// measureAWS measures first mounts of new service accounts, and counts what a
// node full of pods of one service account costs, first and at a refresh.
func measureAWS(ctx context.Context, l *lab) ([]figure, error) {
	samples := 1 + l.samples(25)
	accounts := []string{"poll"}
	for i := range samples {
		accounts = append(accounts, fmt.Sprint("first-", i))
	}
	const refresh = 2 * time.Second
	a, err := l.startAWS(refresh, accounts)
	if err != nil {
		return nil, err
	}
	defer a.server.Close()
	provider, err := l.startProvider(ctx, a.config)
	if err != nil {
		return nil, err
	}
	defer provider.stop()
	first, err := a.firstMounts(ctx, provider, samples)
	if err != nil {
		return nil, err
	}
	counted, err := a.polls(ctx, provider, refresh)
	return append(first, counted...), err
}

func (a *awsLab) firstMounts(ctx context.Context, provider *server, samples int) ([]figure, error) {
	var took []float64
	want := calls{Logins: 1, Reads: 1}
	for i := range samples {
		request, err := a.request(fmt.Sprint("first-", i), 0, awsClass(awsSecrets, 0))
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := provider.mount(ctx, request, awsSecrets); err != nil {
			return nil, err
		}
		if i > 0 { // the first opens connections
			took = append(took, ms(time.Since(start)))
		}
		if got := a.calls(); got != want {
			return nil, fmt.Errorf("a first mount of %d secrets of AWS took %v, want %v", awsSecrets, got, want)
		}
	}
	s := summarize("ms", took)
	f := figure{
		What: "first mount of 20 secrets, Secrets Manager at 10 ms: p50", Unit: "ms", Value: s.P50, Floor: 2 * ms(awsDelay),
		Samples: map[string]summary{"provider": s}, Calls: &want, Chart: "first mount of 20 secrets, AWS",
	}
	return []figure{f.held(atMost, 3*ms(awsDelay), "login + 2 waves")}, nil
}

func (a *awsLab) polls(ctx context.Context, provider *server, refresh time.Duration) ([]figure, error) {
	const pods = 110
	requests := make([]*v1alpha1.MountRequest, pods)
	for i := range requests {
		var err error
		if requests[i], err = a.request("poll", i, awsClass(awsSecrets, awsParameters)); err != nil {
			return nil, err
		}
	}
	poll := func() (calls, error) {
		_, err := provider.poll(ctx, requests, awsSecrets+awsParameters)
		return a.calls(), err
	}
	first, err := poll()
	if err != nil {
		return nil, err
	}
	time.Sleep(refresh + refresh/5)
	again, err := poll()
	return []figure{
		heldToCalls("110 pods × 20 secrets and 30 parameters of AWS: first poll", first, calls{Logins: 1, Reads: 4}, ""),
		heldToCalls("the same: a refresh of unchanged values", again, calls{Reads: 4}, ""),
	}, err
}
