package awstest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// serveAgent is the agent of EKS Pod Identity: the token is the whole of the
// Authorization header.
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
func (s *Server) serveAgent(w http.ResponseWriter, r *http.Request) {
	s.respond(w, r, "", "agent:GetCredentials", protocol{"application/json", json.Marshal, writeAgentError}, func() (any, *Error) {
		account, failed := s.verifyToken(r.Header.Get("Authorization"), "pods.eks.amazonaws.com")
		if failed != nil {
			// The agent passes on what the service EKS Auth answers.
			// https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html
			if failed.Code != "ExpiredTokenException" {
				failed.Code = "InvalidTokenException"
			}
			return nil, failed
		}
		s.mu.Lock()
		role, ok := s.pods[account]
		s.mu.Unlock()
		if !ok {
			return nil, Fail(http.StatusNotFound, "ResourceNotFoundException", "No pod identity association found for the service account")
		}
		granted, failed := s.grant(role, "eks-"+strings.ReplaceAll(account, "/", "-"))
		if failed != nil {
			return nil, failed
		}
		return map[string]string{
			"AccessKeyId": granted.id, "SecretAccessKey": granted.secret, "Token": granted.token,
			"AccountId": Account, "Expiration": granted.expires.UTC().Format(time.RFC3339),
		}, nil
	})
}

// writeAgentError answers as the agent does: what EKS Auth answered, in one line of
// text with its code between parentheses; without a code, the agent's own words.
// https://github.com/aws/eks-pod-identity-agent/blob/main/pkg/errors/errors.go
func writeAgentError(w http.ResponseWriter, failed *Error) {
	text := failed.Message
	if failed.Code != "" {
		text = "[00000000-0000-4000-8000-000000000000]: (" + failed.Code + "): " + text + ", fault: client"
	}
	http.Error(w, text, failed.Status)
}
