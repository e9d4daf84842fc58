package aws

import "github.com/lanyardhq/lanyard/provider/backend/remote"

// DialWith makes the connections of all who are opened after it with dial.
func (p *Platform) DialWith(dial remote.Dial) {
	p.transports = remote.NewTransports(remote.Options{Calls: remote.NewCalls(64), MaxAnswer: maxAnswerBytes, Dial: dial})
}
