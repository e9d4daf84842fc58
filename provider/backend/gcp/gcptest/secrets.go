package gcptest

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// unauthenticated is what Google's APIs answer to a token that is no good.
const unauthenticated = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."

// Secret is a secret with its versions, which count from one.
type Secret struct {
	versions []version
	aliases  map[string]int
}

type version struct {
	data  []byte
	state secretmanagerpb.SecretVersion_State
	made  time.Time
}

// madeAt is when the version of this number was made: each a minute after the other.
func madeAt(number int) time.Time { return time.Date(2026, 1, 1, 0, number, 0, 0, time.UTC) }

// Number is the number of a project, which its resources are called by.
func Number(project string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(project))
	return strconv.Itoa(100_000_000_000 + int(sum.Sum32()))
}

// canonical is a resource name with the project's number.
func canonical(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) > 1 && strings.Trim(parts[1], "0123456789") != "" {
		parts[1] = Number(parts[1])
	}
	return strings.Join(parts, "/")
}

// Put adds a version to the secret of this resource name, which it makes if it
// is not there, and returns the version's number.
func (s *Server) Put(name string, data []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = canonical(name)
	held := s.secrets[name]
	if held == nil {
		held = &Secret{aliases: map[string]int{}}
		s.secrets[name] = held
	}
	held.versions = append(held.versions, version{slices.Clone(data), secretmanagerpb.SecretVersion_ENABLED, madeAt(len(held.versions) + 1)})
	return len(held.versions)
}

// SetState enables, disables or destroys a version of a secret.
func (s *Server) SetState(name string, number int, state secretmanagerpb.SecretVersion_State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[canonical(name)].versions[number-1].state = state
}

// SetAlias makes an alias stand for a version of a secret.
func (s *Server) SetAlias(name, alias string, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[canonical(name)].aliases[alias] = number
}

// Delete removes a secret with all its versions.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, canonical(name))
}

// Grant lets a principal access the secrets whose names are name, or begin with
// it and a slash: a project, or a secret.
func (s *Server) Grant(name, principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = canonical(name)
	if s.grants[name] == nil {
		s.grants[name] = map[string]bool{}
	}
	s.grants[name][principal] = true
}

// allowed says whether a principal may access a secret. The lock is held.
func (s *Server) allowed(name, principal string) bool {
	for granted, principals := range s.grants {
		if principals[principal] && (name == granted || strings.HasPrefix(name, granted+"/")) {
			return true
		}
	}
	return false
}

// secretManager is Secret Manager at one endpoint.
type secretManager struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer
	*Server
	regional bool
}

// AccessSecretVersion implements the generated server.
// https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1#accesssecretversionrequest
func (m *secretManager) AccessSecretVersion(ctx context.Context, req *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	met := m.meet(ctx, "AccessSecretVersion")
	if err := met.err(); err != nil {
		return nil, err
	}
	parts := strings.Split(req.GetName(), "/")
	regional := len(parts) == 8 && parts[2] == "locations"
	if regional != m.regional || !regional && len(parts) != 6 || parts[0] != "projects" || parts[len(parts)-2] != "versions" {
		return nil, status.Errorf(codes.InvalidArgument, "The provided resource name [%s] is invalid at this endpoint.", req.GetName())
	}
	name, which := canonical(strings.Join(parts[:len(parts)-2], "/")), parts[len(parts)-1]

	m.mu.Lock()
	defer m.mu.Unlock()
	caller, err := m.caller(ctx, "name")
	if err != nil {
		return nil, err
	}
	if !m.allowed(name, caller) {
		return nil, status.Errorf(codes.PermissionDenied, "Permission 'secretmanager.versions.access' denied for resource '%s' (or it may not exist).", req.GetName())
	}
	number, found, err := m.find(name, which)
	if err != nil {
		return nil, err
	}
	return found.answer(fmt.Sprintf("%s/versions/%d", name, number), met), nil
}

// listPage is the most versions that a page has here; the service decides.
const listPage = 2

// listed checks a call for a secret by its resource name, and returns it. The lock is held.
func (m *secretManager) listed(ctx context.Context, field, requested string) (name string, held *Secret, err error) {
	parts := strings.Split(requested, "/")
	regional := len(parts) == 6 && parts[2] == "locations"
	if regional != m.regional || !regional && len(parts) != 4 || parts[0] != "projects" {
		return "", nil, status.Errorf(codes.InvalidArgument, "The provided resource name [%s] is invalid at this endpoint.", requested)
	}
	caller, err := m.caller(ctx, field)
	if err != nil {
		return "", nil, err
	}
	name = canonical(requested)
	if !m.allowed(name, caller) {
		return "", nil, status.Errorf(codes.PermissionDenied, "Permission 'secretmanager.versions.list' denied for resource '%s' (or it may not exist).", requested)
	}
	if held = m.secrets[name]; held == nil {
		return "", nil, status.Errorf(codes.NotFound, "Secret [%s] not found.", name)
	}
	return name, held, nil
}

// GetSecret implements the generated server.
// https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1#getsecretrequest
func (m *secretManager) GetSecret(ctx context.Context, req *secretmanagerpb.GetSecretRequest) (*secretmanagerpb.Secret, error) {
	if err := m.meet(ctx, "GetSecret").err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name, held, err := m.listed(ctx, "name", req.GetName())
	if err != nil {
		return nil, err
	}
	aliases := map[string]int64{}
	for alias, number := range held.aliases {
		aliases[alias] = int64(number)
	}
	return &secretmanagerpb.Secret{Name: name, VersionAliases: aliases}, nil
}

// ListSecretVersions implements the generated server: the newest come first.
// https://cloud.google.com/secret-manager/docs/reference/rpc/google.cloud.secretmanager.v1#listsecretversionsrequest
func (m *secretManager) ListSecretVersions(ctx context.Context, req *secretmanagerpb.ListSecretVersionsRequest) (*secretmanagerpb.ListSecretVersionsResponse, error) {
	if err := m.meet(ctx, "ListSecretVersions").err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name, held, err := m.listed(ctx, "parent", req.GetParent())
	if err != nil {
		return nil, err
	}
	answer := &secretmanagerpb.ListSecretVersionsResponse{TotalSize: int32(len(held.versions))} //nolint:gosec // a few
	skip, _ := strconv.Atoi(req.GetPageToken())                                                 //nolint:errcheck // none is zero
	for number := len(held.versions) - skip; number > 0; number-- {
		if len(answer.Versions) == listPage {
			answer.NextPageToken = strconv.Itoa(len(held.versions) - number)
			break
		}
		one := held.versions[number-1]
		answer.Versions = append(answer.Versions, &secretmanagerpb.SecretVersion{
			Name: fmt.Sprintf("%s/versions/%d", name, number), State: one.state, CreateTime: timestamppb.New(one.made),
		})
	}
	return answer, nil
}

// caller is who makes a call, which must have a routing header with the field of the
// request that names the resource. The lock is held.
func (s *Server) caller(ctx context.Context, field string) (string, error) {
	if routed := metadata.ValueFromIncomingContext(ctx, "x-goog-request-params"); len(routed) != 1 || !strings.HasPrefix(routed[0], field+"=projects%2F") {
		return "", status.Error(codes.InvalidArgument, "The call has no routing header.")
	}
	if header := metadata.ValueFromIncomingContext(ctx, "authorization"); len(header) == 1 {
		bearer, _ := strings.CutPrefix(header[0], "Bearer ")
		if caller := s.principal(bearer); caller != "" {
			return caller, nil
		}
	}
	return "", status.Error(codes.Unauthenticated, unauthenticated)
}

// find is the version of a secret that a number, an alias or latest names, if
// it may be read. latest is the one that was made last, whatever its state.
// https://cloud.google.com/secret-manager/docs/access-secret-version
func (s *Server) find(name, which string) (int, version, error) {
	held := s.secrets[name]
	if held == nil {
		return 0, version{}, status.Errorf(codes.NotFound, "Secret [%s] not found or has no versions.", name)
	}
	number := held.aliases[which]
	if which == "latest" {
		number = len(held.versions)
	}
	if counted, err := strconv.Atoi(which); err == nil {
		number = counted
	}
	if number < 1 || number > len(held.versions) {
		return 0, version{}, status.Errorf(codes.NotFound, "Secret Version [%s/versions/%s] not found.", name, which)
	}
	found := held.versions[number-1]
	if found.state != secretmanagerpb.SecretVersion_ENABLED {
		return 0, version{}, status.Errorf(codes.FailedPrecondition, "Secret Version [%s/versions/%d] is in %s state.", name, number, found.state)
	}
	return number, found, nil
}

// answer is the version as it is sent, with what a fault does to it.
// https://cloud.google.com/secret-manager/docs/data-integrity
func (v version) answer(name string, met Fault) *secretmanagerpb.AccessSecretVersionResponse {
	payload := &secretmanagerpb.SecretPayload{Data: slices.Clone(v.data), DataCrc32C: &checksum(v.data).Value}
	switch {
	case met.Corrupt:
		payload.Data = append(payload.Data, 'x')
	case met.Unchecked:
		payload.DataCrc32C = nil
	case met.Empty:
		payload = nil
	case met.Other:
		name = strings.Replace(name, "/secrets/", "/secrets/other-", 1)
	}
	return &secretmanagerpb.AccessSecretVersionResponse{Name: name, Payload: payload}
}
