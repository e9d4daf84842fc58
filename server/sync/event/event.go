// Package event writes Events of the sync controller, each as an object of its own: none
// is merged with another, and nothing of them stays in memory.
package event

import (
	"context"
	"time"

	core "k8s.io/api/core/v1"
	events "k8s.io/api/events/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lanyardhq/lanyard/internal/message"
)

// maxNote is how many bytes of a text an Event takes.
// https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/events.go
const maxNote = 1024

// Event is what happened to an object.
type Event struct {
	// Of is the object; it needs a namespace, a name, a kind and a UID.
	Of core.ObjectReference
	// By is the part of the controller that tells of it.
	By string
	// Warning says that somebody has to do something.
	Warning bool
	// Reason and Action are words for programs, Note is a text for people. A note that is
	// too long is cut.
	Reason, Action, Note string
}

// Creator creates objects, as a client.Client does.
type Creator interface {
	Create(ctx context.Context, object client.Object, opts ...client.CreateOption) error
}

// Write writes an Event. One that cannot be written is lost, and the log says so.
func Write(ctx context.Context, to Creator, now time.Time, e Event) {
	kind := core.EventTypeNormal
	if e.Warning {
		kind = core.EventTypeWarning
	}
	err := to.Create(ctx, &events.Event{
		ObjectMeta: meta.ObjectMeta{Namespace: e.Of.Namespace, GenerateName: e.Of.Name + "-"},
		EventTime:  meta.NewMicroTime(now), Type: kind, Reason: e.Reason, Action: e.Action, Note: message.Cut(e.Note, maxNote-len("…")),
		ReportingController: e.By, ReportingInstance: e.By, Regarding: e.Of,
	})
	if err != nil {
		klog.ErrorS(nil, "An Event is lost", "object", klog.KRef(e.Of.Namespace, e.Of.Name), "kind", e.Of.Kind, "reason", e.Reason, "cause", err.Error())
	}
}
