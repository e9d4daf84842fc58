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

// encodable is the value with times that JSON can hold.
func encodable(v store.Value) store.Value {
	for _, at := range []*time.Time{&v.NotAfter, &v.ChangesAt, &v.Made} {
		*at = encodableTime(*at)
	}
	if v.Lease != nil {
		v.Lease = encodableLease(v.Lease)
	}
	return v
}

func encodableLease(l *store.Lease) *store.Lease {
	encoded := *l
	encoded.Expires = encodableTime(l.Expires)
	return &encoded
}

// encodableTime is the nearest moment that JSON can hold. The zero time stays.
func encodableTime(at time.Time) time.Time {
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
