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
	const action = "agent:GetCredentials"
	s.count("", action)
	if s.fault(w, "", action) {
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
	s.write(w, "", action, encoded)
}

func writeAgentError(w http.ResponseWriter, status int, code, message string) {
	encoded, err := json.Marshal(map[string]string{"code": code, "message": message})
	if err != nil {
		encoded = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) //nolint:errcheck // the client has gone
}
