package kms

import (
	"context"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
)

// record is that of one call; nil if there is none.
type record audit.Record

// record begins the record of a call. The UID and the key ID are as the caller chose them.
func (s *service) record(event audit.Event, uid string) *record {
	if !s.audit.On() {
		return nil
	}
	return &record{Event: event, UID: message.Cut(uid, maxKeyID)}
}

// setKey notes the key that is used.
func (r *record) setKey(used use) {
	if r != nil {
		r.Key = used.entry.Name
	}
}

func (r *record) setKeyID(id string) {
	if r != nil {
		r.KeyID = message.Cut(id, maxKeyID)
	}
}

// recorded records how a call ended, and returns the gRPC status of its error, or of why
// the record could not be written, which fails the call where the operator requires
// records.
func (s *service) recorded(ctx context.Context, r *record, err error) error {
	if r != nil {
		r.Result = word(err)
		if err != nil {
			r.Cause = bounded(err.Error())
			s.audit.Note((*audit.Record)(r))
		} else {
			err = s.audit.Record(ctx, (*audit.Record)(r))
		}
	}
	if err != nil {
		return statusOf(err)
	}
	return nil
}

// LoggedIn records one login at a key service of a type, by a method, and why it failed.
func (s *Server) LoggedIn(service, method string, err error) {
	if !s.service.audit.On() {
		return
	}
	r := audit.Record{Event: audit.Login, Result: word(err), StoreType: service, Method: method}
	if err != nil {
		r.Cause = bounded(err.Error())
	}
	s.service.audit.Note(&r)
}

// noteProbe records the trial of a key, if its result is another than that before: one key
// alone has a trial every minute.
func (s *service) noteProbe(used use, keyID string, err error) {
	name, result := used.entry.Name, word(err)
	if s.probed[name] == result {
		return
	}
	if s.probed == nil {
		s.probed = map[string]string{}
	}
	s.probed[name] = result
	r := audit.Record{Event: audit.Probe, Result: result, Key: name, KeyID: message.Cut(keyID, maxKeyID)}
	if err != nil {
		r.Cause = bounded(err.Error())
	}
	s.audit.Note(&r)
}
