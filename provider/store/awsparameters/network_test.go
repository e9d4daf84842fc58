package awsparameters_test

import (
	"net/http"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestCallsToTheParameterStoreLeaveTheNodeAsTheyShould(t *testing.T) {
	storetest.Network(t, "double.example.com", func(t *testing.T) *storetest.Fixture {
		f := newFixture(t)
		return &storetest.Fixture{Type: f.typ, Settings: f.settings(nil), Identity: f.pod(t, "prod/web"), Put: func(_ *testing.T, name, value string) store.Reference {
			f.PutParameter(ireland, "/prod/"+name, "SecureString", value)
			return store.Reference{Key: "/prod/" + name}
		}, Refused: func(t *testing.T) store.Reference {
			t.Helper()
			f.Add(awstest.Fault{Fail: awstest.Fail(http.StatusBadRequest, "ValidationException", "not so"), Action: "ssm:GetParameters"})
			return store.Reference{Key: "/prod/missing"}
		}}
	})
}
