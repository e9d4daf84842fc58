package gcp

import (
	"context"

	"cloud.google.com/go/parametermanager/apiv1/parametermanagerpb"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxParameterAnswer bounds an answer of Parameter Manager: a payload has at most 1 MiB,
// and comes as it was written and rendered.
// https://cloud.google.com/secret-manager/parameter-manager/quotas
const maxParameterAnswer = 3 << 20

// parameter reads a version of a parameter, with the secrets that it refers to in it
// unless q asks for the raw one. Parameter Manager sends no checksum, and no payload is
// empty. The error is a status of gRPC, or of gcp.ErrDamaged or a kind of package fault.
// https://cloud.google.com/secret-manager/parameter-manager/docs/render-parameter-version
func parameter(ctx context.Context, conn *gcp.Conn, q *query) (store.Value, error) {
	client := parametermanagerpb.NewParameterManagerClient(conn)
	var name string
	var payload []byte
	if q.raw {
		answer, err := client.GetParameterVersion(ctx, &parametermanagerpb.GetParameterVersionRequest{Name: q.name, View: parametermanagerpb.View_FULL})
		if err != nil {
			return store.Value{}, err
		}
		if answer.GetDisabled() {
			return store.Value{}, fault.Failf(fault.ErrNotFound, "%s: the version is disabled; enable it, or name another", q.name)
		}
		name, payload = answer.GetName(), answer.GetPayload().GetData()
	} else {
		answer, err := client.RenderParameterVersion(ctx, &parametermanagerpb.RenderParameterVersionRequest{Name: q.name})
		if err != nil {
			return store.Value{}, err
		}
		name, payload = answer.GetParameterVersion(), answer.GetRenderedPayload()
	}
	switch {
	case len(payload) == 0:
		return store.Value{}, damaged(q, "Parameter Manager answered without a payload; look at what stands between the node and Google")
	case !q.isAnsweredBy(name):
		return store.Value{}, damaged(q, "Parameter Manager answered with "+message.Excerpt(name)+"; look at what stands between the node and Google")
	}
	if !q.raw {
		name = "" // the secrets that it refers to change without it
	}
	return q.value(payload, name)
}
