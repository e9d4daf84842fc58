package gcptest

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/parametermanager/apiv1/parametermanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// parameter is a version of a parameter of Parameter Manager.
type parameter struct {
	data     []byte
	disabled bool
	made     time.Time
}

// PutParameter writes a version of a parameter, by its whole resource name with the
// version. References to secrets in it are rendered:
// __REF__("//secretmanager.googleapis.com/projects/P/secrets/S/versions/V").
func (s *Server) PutParameter(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parameters[canonical(name)] = parameter{data: slices.Clone(data), made: madeAt(len(s.parameters) + 1)}
}

// DisableParameter disables a version of a parameter.
func (s *Server) DisableParameter(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.parameters[canonical(name)]
	found.disabled = true
	s.parameters[canonical(name)] = found
}

// parameterManager is Parameter Manager at one endpoint.
// https://cloud.google.com/secret-manager/parameter-manager/docs/reference/rpc/google.cloud.parametermanager.v1
type parameterManager struct {
	parametermanagerpb.UnimplementedParameterManagerServer
	*Server
	regional bool
}

// secretReference is a reference to a secret in a parameter.
// https://cloud.google.com/secret-manager/parameter-manager/docs/reference-secrets-in-parameter
var secretReference = regexp.MustCompile(`__REF__\("//secretmanager\.googleapis\.com/([^"]+)"\)`)

// RenderParameterVersion implements the generated server.
func (m *parameterManager) RenderParameterVersion(ctx context.Context, req *parametermanagerpb.RenderParameterVersionRequest) (*parametermanagerpb.RenderParameterVersionResponse, error) {
	met, name, found, err := m.get(ctx, "RenderParameterVersion", req.GetName())
	if err != nil {
		return nil, err
	}
	if found.disabled {
		return nil, status.Errorf(codes.FailedPrecondition, "ParameterVersion [%s] is disabled.", name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed error
	rendered := secretReference.ReplaceAllStringFunc(string(found.data), func(reference string) string {
		parts := strings.Split(secretReference.FindStringSubmatch(reference)[1], "/")
		_, of, err := m.find(canonical(strings.Join(parts[:len(parts)-2], "/")), parts[len(parts)-1])
		if err != nil {
			failed = status.Errorf(codes.FailedPrecondition, "Failed to render: %s", status.Convert(err).Message())
		}
		return string(of.data)
	})
	if failed != nil {
		return nil, failed
	}
	answer := &parametermanagerpb.RenderParameterVersionResponse{
		ParameterVersion: met.named(name), Payload: &parametermanagerpb.ParameterVersionPayload{Data: found.data}, RenderedPayload: []byte(rendered),
	}
	if met.Empty {
		answer.RenderedPayload = nil
	}
	return answer, nil
}

// GetParameterVersion implements the generated server.
func (m *parameterManager) GetParameterVersion(ctx context.Context, req *parametermanagerpb.GetParameterVersionRequest) (*parametermanagerpb.ParameterVersion, error) {
	met, name, found, err := m.get(ctx, "GetParameterVersion", req.GetName())
	if err != nil {
		return nil, err
	}
	answer := &parametermanagerpb.ParameterVersion{Name: met.named(name), Disabled: found.disabled}
	if !found.disabled && !met.Empty {
		answer.Payload = &parametermanagerpb.ParameterVersionPayload{Data: found.data}
	}
	return answer, nil
}

// ListParameterVersions implements the generated server, which promises no order. The
// payloads are left out.
func (m *parameterManager) ListParameterVersions(ctx context.Context, req *parametermanagerpb.ListParameterVersionsRequest) (*parametermanagerpb.ListParameterVersionsResponse, error) {
	met := m.meet(ctx, "ListParameterVersions")
	if err := met.err(); err != nil {
		return nil, err
	}
	parts := strings.Split(req.GetParent(), "/")
	if len(parts) != 6 || parts[4] != "parameters" || m.regional == (parts[3] == "global") {
		return nil, status.Errorf(codes.InvalidArgument, "The provided resource name [%s] is invalid at this endpoint.", req.GetParent())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	caller, err := m.caller(ctx, "parent")
	if err != nil {
		return nil, err
	}
	name := canonical(req.GetParent())
	if !m.allowed(name, caller) {
		return nil, status.Errorf(codes.PermissionDenied, "Permission 'parametermanager.parameterVersions.list' denied on resource '%s' (or it may not exist).", req.GetParent())
	}
	answer := &parametermanagerpb.ListParameterVersionsResponse{}
	for _, version := range slices.Sorted(maps.Keys(m.parameters)) {
		if one := m.parameters[version]; strings.HasPrefix(version, name+"/versions/") {
			answer.ParameterVersions = append(answer.ParameterVersions, &parametermanagerpb.ParameterVersion{Name: version, Disabled: one.disabled, CreateTime: timestamppb.New(one.made)})
		}
	}
	skip, _ := strconv.Atoi(req.GetPageToken()) //nolint:errcheck // none is zero
	all := answer.ParameterVersions
	answer.ParameterVersions = all[min(skip, len(all)):min(skip+listPage, len(all))]
	if skip+listPage < len(all) {
		answer.NextPageToken = strconv.Itoa(skip + listPage)
	}
	if len(all) == 0 {
		return nil, status.Errorf(codes.NotFound, "Parameter [%s] not found.", name)
	}
	return answer, nil
}

// named is the name that an answer has.
func (f Fault) named(name string) string {
	if f.Other {
		return strings.Replace(name, "/parameters/", "/parameters/other-", 1)
	}
	return name
}

// get returns the version that a caller may read.
func (m *parameterManager) get(ctx context.Context, method, requested string) (met Fault, name string, found parameter, err error) {
	met = m.meet(ctx, method)
	if err := met.err(); err != nil {
		return met, "", parameter{}, err
	}
	parts := strings.Split(requested, "/")
	if len(parts) != 8 || parts[4] != "parameters" || parts[6] != "versions" || m.regional == (parts[3] == "global") {
		return met, "", parameter{}, status.Errorf(codes.InvalidArgument, "The provided resource name [%s] is invalid at this endpoint.", requested)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	caller, err := m.caller(ctx, "name")
	if err != nil {
		return met, "", parameter{}, err
	}
	name = canonical(requested)
	if !m.allowed(strings.Join(strings.Split(name, "/")[:6], "/"), caller) {
		return met, "", parameter{}, status.Errorf(codes.PermissionDenied, "Permission 'parametermanager.parameterVersions.render' denied on resource '%s' (or it may not exist).", requested)
	}
	found, ok := m.parameters[name]
	if !ok {
		return met, "", parameter{}, status.Errorf(codes.NotFound, "ParameterVersion [%s] not found.", name)
	}
	return met, name, found, nil
}
