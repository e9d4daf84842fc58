package awstest

import (
	"net/http"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// instanceProfile is the name under which the metadata service lists the role.
const instanceProfile = "node-profile"

// metadataToken is the token of a session with the metadata service.
const metadataToken = "planted-metadata-token"

// SetInstanceRole gives the instance that the server is the metadata service of
// a role; empty takes it away.
func (s *Server) SetInstanceRole(roleARN string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instance = roleARN
}

// serveMetadata is the instance metadata service, version 2: without a token
// from a PUT it answers nothing.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	const action = "imds:GetCredentials"
	if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" {
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = w.Write([]byte(metadataToken)) //nolint:errcheck // the client has gone
		return
	}
	if s.fault(w, r, "", action, writeJSONError) {
		return
	}
	s.mu.Lock()
	role := s.instance
	s.mu.Unlock()
	name, ok := strings.CutPrefix(r.URL.Path, "/latest/meta-data/iam/security-credentials/")
	switch {
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") != metadataToken:
		w.WriteHeader(http.StatusUnauthorized)
	case !ok || role == "" || name != "" && name != instanceProfile:
		w.WriteHeader(http.StatusNotFound)
	case name == "":
		_, _ = w.Write([]byte(instanceProfile)) //nolint:errcheck // the client has gone
	default:
		s.writeInstanceCredentials(w, role)
	}
}

func (s *Server) writeInstanceCredentials(w http.ResponseWriter, role string) {
	granted, failed := s.grant(role, "i-0123456789abcdef0")
	if failed != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	backendtest.WriteJSON(w, http.StatusOK, "text/plain", map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": granted.id, "SecretAccessKey": granted.secret, "Token": granted.token,
		"LastUpdated": time.Now().UTC().Format(time.RFC3339), "Expiration": granted.expires.UTC().Format(time.RFC3339),
	})
}
