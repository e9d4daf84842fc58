package azuretest

import (
	"net/http"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// Throttling is the ways in which the services refuse too many calls of the actions.
// Those that log in have no codes of Key Vault's.
// https://learn.microsoft.com/azure/key-vault/general/overview-throttling
func (s *Server) Throttling(actions ...string) backendtest.Throttling {
	ways := backendtest.Throttling{}
	for _, action := range actions {
		for name, fault := range map[string]Fault{
			"429":         Throttled(0),
			"429 alone":   {Status: http.StatusTooManyRequests},
			"403 by code": {Status: http.StatusForbidden, Code: "TooManyRequests", Message: "slow down"},
			"503 by code": {Status: http.StatusServiceUnavailable, Code: "RequestThrottled"},
		} {
			if fault.Code != "" && (action == "token" || action == "metadata") {
				continue
			}
			ways[action+" "+name] = func(times int, after time.Duration) func() {
				fault.Action, fault.Times, fault.RetryAfter = action, times, int(after.Seconds())
				return s.Add(fault)
			}
		}
	}
	return ways
}
