package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// failure is why one object failed, or with no object the whole volume.
type failure struct {
	object *planned
	source *source
	err    error
	of     [][sha256.Size]byte // of a remembered failure: the sources that it may be due to
}

// kindOf returns the kind of a mount's error. A missing token is a matter of the
// cluster's configuration, whatever kind the store gave it.
func kindOf(err error) error {
	if errors.Is(err, identity.ErrNoToken) {
		return fault.ErrPrecondition
	}
	return fault.Of(err).Err
}

const (
	objectsNamed = 10      // objects named for one cause; the rest are counted
	maxText      = 4 << 10 // bytes of a mount's error; an event shows the first 1,024
)

// mountError makes one error of all failures. Objects that failed for one
// cause are told together, since a store that is down fails them all alike. The text
// has the names of fields that the class's dialect has.
func mountError(p *plan, failures []failure) *MountError {
	result := &MountError{Kind: fault.ErrUnavailable}
	type group struct {
		labels []string
		text   string
	}
	var groups []*group
	byText := map[string]*group{}
	failed := map[*planned]bool{} // one object may fail in several places
	for _, f := range failures {
		result.Kind = fault.First(result.Kind, kindOf(f.err)).Err
		store := ""
		if f.source != nil {
			store = f.source.name
		}
		text := p.words.InText(f.err.Error(), store)
		if f.source != nil {
			text = message.Printable(f.source.name) + ": " + text
		}
		g := byText[text]
		if g == nil {
			g = &group{text: text}
			byText[text] = g
			groups = append(groups, g)
		}
		if f.object != nil {
			failed[f.object] = true
			g.labels = append(g.labels, f.object.label())
		}
	}

	lines := make([]string, 0, len(groups))
	for _, g := range groups {
		if len(g.labels) == 0 {
			lines = append(lines, g.text)
			continue
		}
		labels := strings.Join(g.labels[:min(len(g.labels), objectsNamed)], ", ")
		if more := len(g.labels) - objectsNamed; more > 0 {
			labels += fmt.Sprintf(" and %d more", more)
		}
		lines = append(lines, labels+": "+g.text)
	}
	result.Text = strings.Join(lines, "; ")
	if len(failed) > 1 {
		result.Text = fmt.Sprintf("%d of %d objects failed: %s", len(failed), len(p.objects), result.Text)
	}
	result.Text = message.Cut(result.Text, maxText)
	return result
}
