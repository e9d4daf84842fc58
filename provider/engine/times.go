package engine

import (
	"time"

	"github.com/lanyardhq/lanyard/provider/store"
)

// JSON has the years from 0 to 9999. What a server sends may lie beyond, and must not keep
// the facts of a whole node from being told, nor may what is reckoned back from it.
// https://pkg.go.dev/time#Time.MarshalJSON
var (
	firstTime = time.Unix(0, 0).UTC()
	lastTime  = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
)

// tellable is a value whose times can be told.
func tellable(v store.Value) store.Value {
	for _, at := range []*time.Time{&v.NotAfter, &v.ChangesAt, &v.Made} {
		*at = tellableTime(*at)
	}
	if v.Lease != nil {
		v.Lease = tellableLease(v.Lease)
	}
	return v
}

func tellableLease(l *store.Lease) *store.Lease {
	told := *l
	told.Expires = tellableTime(l.Expires)
	return &told
}

// tellableTime is the nearest moment that can be told. None stays none.
func tellableTime(at time.Time) time.Time {
	switch {
	case at.IsZero():
		return at
	case at.After(lastTime):
		return lastTime
	case at.Before(firstTime):
		return firstTime
	}
	return at.UTC()
}
