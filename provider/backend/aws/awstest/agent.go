package awstest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// agentAction is what calls of the agent are counted under.
const agentAction = "agent:GetCredentials"

// isAgent tells the one service here that answers failures with text.
func isAgent(action string) bool { return action == agentAction }

// serveAgent is the agent of EKS Pod Identity: the token is the whole of the
// Authorization header.
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
func (s *Server) serveAgent(w http.ResponseWriter, r *http.Request) {
	s.Count(agentAction)
	if s.fault(w, r, "", agentAction) {
		return
	}
	account, failed := s.verifyToken(r.Header.Get("Authorization"), "pods.eks.amazonaws.com")
	if failed != nil {
		// The agent passes on what the service EKS Auth answers.
		// https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html
		code := "InvalidTokenException"
		if failed.Code == "ExpiredTokenException" {
			code = failed.Code
		}
		writeAgentError(w, http.StatusBadRequest, code, failed.Message)
		return
	}
	s.mu.Lock()
	role, ok := s.pods[account]
	s.mu.Unlock()
	if !ok {
		writeAgentError(w, http.StatusNotFound, "ResourceNotFoundException", "No pod identity association found for the service account")
		return
	}
	granted, failed := s.grant(role, "eks-"+strings.ReplaceAll(account, "/", "-"))
	if failed != nil {
		writeAgentError(w, failed.Status, failed.Code, failed.Message)
		return
	}
	encoded, err := json.Marshal(map[string]string{
		"AccessKeyId": granted.id, "SecretAccessKey": granted.secret, "Token": granted.token,
		"AccountId": Account, "Expiration": granted.expires.UTC().Format(time.RFC3339),
	})
	if err != nil {
		writeAgentError(w, http.StatusInternalServerError, "InternalServerException", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.write(w, "", agentAction, encoded)
}

// writeAgentError answers as the agent does: what EKS Auth answered, in one line of
// text with its code between parentheses; without a code, the agent's own words.
// https://github.com/aws/eks-pod-identity-agent/blob/main/pkg/errors/errors.go
func writeAgentError(w http.ResponseWriter, status int, code, message string) {
	if code == "" {
		http.Error(w, message, status)
		return
	}
	http.Error(w, "[00000000-0000-4000-8000-000000000000]: ("+code+"): "+message+", fault: client", status)
}
