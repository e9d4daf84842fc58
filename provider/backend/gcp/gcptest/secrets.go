package gcptest

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
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
}

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
	held.versions = append(held.versions, version{slices.Clone(data), secretmanagerpb.SecretVersion_ENABLED})
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
	caller, err := m.caller(ctx)
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

// caller is who makes a call, which must have a routing header. The lock is held.
func (s *Server) caller(ctx context.Context) (string, error) {
	if routed := metadata.ValueFromIncomingContext(ctx, "x-goog-request-params"); len(routed) != 1 || !strings.HasPrefix(routed[0], "name=projects%2F") {
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
