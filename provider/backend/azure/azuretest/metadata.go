package azuretest

import (
	"net/http"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// SetMachine gives the machine identities: its own, if system is not empty,
// and user-assigned ones, each by client ID.
func (s *Server) SetMachine(system string, assigned ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.system = system
	s.machine = map[string]bool{}
	for _, id := range assigned {
		s.machine[id] = true
	}
}

// serveMetadata is the Instance Metadata Service.
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#get-a-token-using-http
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metadata/identity/oauth2/token" {
		http.NotFound(w, r)
		return
	}
	s.answering(w, r, "metadata", func(w http.ResponseWriter) {
		query := r.URL.Query()
		s.mu.Lock()
		id := s.system
		if clientID := query.Get("client_id"); clientID != "" {
			id = ""
			if s.machine[clientID] {
				id = clientID
			}
		}
		s.mu.Unlock()
		switch {
		case r.Header.Get("Metadata") != "true":
			refuseMetadata(w, "Required metadata header not specified")
		case query.Get("api-version") != "2018-02-01" || query.Get("resource") == "":
			refuseMetadata(w, "Required query variable 'resource' is missing")
		case id == "":
			refuseMetadata(w, "Identity not found")
		default:
			s.issue(w, id, query.Get("resource"), true)
		}
	})
}

func refuseMetadata(w http.ResponseWriter, text string) {
	backendtest.WriteJSON(w, http.StatusBadRequest, "application/json", map[string]string{"error": "invalid_request", "error_description": text})
}
