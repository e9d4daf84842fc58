package share

import (
	"maps"
	"math"
	"time"
)

const (
	// halfLife is how soon half of what a tenant has had is forgotten.
	halfLife = 10 * time.Second
	// usagesKept bounds the tenants that a Pool remembers though they want nothing. It
	// is more than a node has namespaces.
	usagesKept = 1024
)

// usage is what a tenant has had lately: units times seconds, exponentially decayed.
type usage struct {
	amount float64
	until  time.Time
}

// settle brings the usage of who has held so many units since the last time up to now.
func (u *usage) settle(held int64, now time.Time) {
	elapsed := max(now.Sub(u.until), 0)
	if u.until.IsZero() {
		elapsed = 0
	}
	u.amount = u.amount*math.Exp2(-elapsed.Seconds()/halfLife.Seconds()) + float64(held)*elapsed.Seconds()
	u.until = now
}

// remember keeps the usage of a tenant that is forgotten, for when it comes back.
func (p *Pool) remember(t *tenant) {
	if t.usage.amount == 0 {
		return
	}
	if len(p.used) >= usagesKept {
		maps.DeleteFunc(p.used, func(_ string, u usage) bool { return t.usage.until.Sub(u.until) > 10*halfLife })
	}
	if len(p.used) < usagesKept {
		p.used[t.name] = t.usage
	}
}
