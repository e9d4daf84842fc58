package gcp

import (
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// The mean of the first pause before a retry, and the longest.
	firstPause = 150 * time.Millisecond
	maxPause   = 10 * time.Second
)

// speaker is who answers at the host of an endpoint.
func speaker(over remote.Network, endpoint string) remote.Speaker {
	return over.Speaker("Google says", Host(endpoint), "googleapis.com")
}

// Said is what the connection's server gave as its reason, without the secrets that
// were sent; empty if it gave none.
func (c *Conn) Said(text string, sent ...secret.Bytes) string {
	return speaker(c.over, c.Endpoint).Said(text, sent...)
}
