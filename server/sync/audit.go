package sync

import (
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// class is what records call the object.
func (w *Want) class() string { return w.Owner.Kind + "/" + w.Owner.Name }

// note records what was done to a Secret. The delivery of its values was recorded before.
func (r *Reconciler) note(want *Want, event audit.Event, secret, change string, err error) {
	if !r.settings.Audit.On() {
		return
	}
	record := audit.Record{
		Event: event, Result: audit.OK, Namespace: want.Namespace, ServiceAccount: want.ServiceAccount, PodUID: string(want.Owner.UID),
		Class: want.class(), Dialect: want.Provider, Secret: secret, Change: change,
	}
	if err != nil {
		record.Result, record.Change, record.Cause = fault.Of(err).Word, "", message.Cut(problemOf(secret, err).Text, maxText)
	}
	r.settings.Audit.Note(&record)
}
