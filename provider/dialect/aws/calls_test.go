package aws_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/config"
	awsdialect "github.com/lanyardhq/lanyard/provider/dialect/aws"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// manyObjects are a class of so many secrets and parameters, which exist.
func manyObjects(server *awstest.Server, secrets, parameters int) map[string]string {
	var objects strings.Builder
	for i := range secrets {
		name := fmt.Sprintf("many/secret%02d", i)
		server.PutSecret("us-east-1", name, name)
		fmt.Fprintf(&objects, "- {objectName: %s, objectType: secretsmanager}\n", name)
	}
	for i := range parameters {
		name := fmt.Sprintf("/many/parameter%02d", i)
		server.PutParameter("us-east-1", name, "SecureString", name)
		fmt.Fprintf(&objects, "- {objectName: %s, objectType: ssmparameter}\n", name)
	}
	return map[string]string{"objects": objects.String()}
}

func wantCalls(t *testing.T, server *awstest.Server, want map[string]int) {
	t.Helper()
	for _, action := range []string{"sts:AssumeRoleWithWebIdentity", "secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue", "ssm:GetParameters"} {
		if got := server.Calls(action); got != want[action] {
			t.Errorf("%s was called %d times, want %d", action, got, want[action])
		}
	}
}

// One login, one call for twenty secrets and three for thirty parameters: that is
// what a hundred and ten pods of one service account cost, and what a refresh
// costs again, less the login.
func TestWhatANodeCosts(t *testing.T) {
	server := world(t)
	begin, later := time.Now(), atomic.Bool{}
	e := engineAt(t, server, nil, func() time.Time {
		if later.Load() {
			return begin.Add(3 * time.Minute) // a refresh is due
		}
		return begin
	})
	parameters := manyObjects(server, 20, 30)
	server.Add(awstest.Fault{Delay: 10 * time.Millisecond})
	as := pod(t, server.NewIssuer(t))
	mount := func() {
		t.Helper()
		var all sync.WaitGroup
		for i := range 110 {
			all.Go(func() {
				one := as
				one.Pod, one.PodUID = fmt.Sprint("web-", i), fmt.Sprint("uid-", i)
				volume, err := e.Mount(context.WithoutCancel(t.Context()), engine.Request{Dialect: awsdialect.Name, Parameters: parameters, Identity: one})
				if err != nil || len(volume.Files) != 50 {
					t.Errorf("pod %d: %v", i, err)
				}
			})
		}
		all.Wait()
	}
	mount()
	mount()
	wantCalls(t, server, map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:BatchGetSecretValue": 1, "ssm:GetParameters": 3})
	server.ResetCalls()
	later.Store(true)
	mount()
	wantCalls(t, server, map[string]int{"secretsmanager:BatchGetSecretValue": 1, "ssm:GetParameters": 3})
}

// Policies that were written for the original have no right to batches.
func TestARoleOfTheOriginalStillReads(t *testing.T) {
	server := world(t)
	e := newEngine(t, server, nil)
	parameters := manyObjects(server, 20, 0)
	server.PutRole("web", awstest.Role{Accounts: []string{"shop/web"}, Reads: []string{"*"}, Without: []string{"secretsmanager:BatchGetSecretValue"}})
	as := pod(t, server.NewIssuer(t))
	if _, err := e.Mount(t.Context(), engine.Request{Dialect: awsdialect.Name, Parameters: parameters, Identity: as}); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, server, map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:BatchGetSecretValue": 1, "secretsmanager:GetSecretValue": 20})
}

func TestEveryFailedObjectIsToldWithItsStoreAndKeyAndRemedy(t *testing.T) {
	server := world(t)
	e := newEngine(t, server, nil)
	server.PutRole("web", awstest.Role{Accounts: []string{"shop/web"}, Reads: []string{"MySecret", "missing", "/missing"}})
	_, err := e.Mount(t.Context(), engine.Request{Dialect: awsdialect.Name, Identity: pod(t, server.NewIssuer(t)), Parameters: map[string]string{"objects": `
- {objectName: MySecret, objectType: secretsmanager, jmesPath: [{path: nothing, objectAlias: part}]}
- {objectName: missing, objectType: secretsmanager}
- {objectName: Rotated, objectType: secretsmanager}
- {objectName: /missing, objectType: ssmparameter}
- {objectName: plain, objectType: ssmparameter}
`}})
	if !errors.Is(err, fault.ErrDenied) {
		t.Errorf("error %v, want denied", err)
	}
	for _, want := range []string{
		"5 of 6 objects failed",
		"object 1 (part): secretsmanager: jmesPath nothing of MySecret",
		"object 2 (missing): secretsmanager: GetSecretValue missing in us-east-1: AWS says ResourceNotFoundException",
		"object 3 (Rotated): secretsmanager: GetSecretValue Rotated in us-east-1: permission denied",
		"need secretsmanager:GetSecretValue on the secret",
		"object 4 (_missing): ssmparameter: GetParameters /missing in us-east-1: there is no such parameter",
		"object 5 (plain): ssmparameter: GetParameters plain in us-east-1: permission denied",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// While AWS is down, pods keep what they have.
func TestWhatWasReadOutlivesAnOutage(t *testing.T) {
	server := world(t)
	begin, passed := time.Now(), atomic.Int64{}
	e := engineAt(t, server, nil, func() time.Time { return begin.Add(time.Duration(passed.Load())) })
	request := engine.Request{Dialect: awsdialect.Name, Identity: pod(t, server.NewIssuer(t)), Parameters: map[string]string{"objects": "- {objectName: MySecret, objectType: secretsmanager}"}}
	if _, err := e.Mount(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	server.Add(awstest.Fault{Drop: true})
	passed.Store(int64(config.Default().Cache.Refresh + time.Second))
	volume, err := e.Mount(t.Context(), request)
	if err != nil || len(volume.Files) != 1 {
		t.Errorf("after the outage began: %v", err)
	}
}
