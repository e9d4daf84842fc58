package seal

import (
	"encoding/binary"
	"fmt"
	"time"
)

// formatVersion is the first byte of every value, in the text "lanyard.v1.".
const formatVersion = 1

// maxHeader is the longest header: version, suite, key id, four exact names
// with their tags and lengths, a not-after time with its tag, and a sealer.
const maxHeader = 1 + 1 + keyIDSize + 4*3 + MaxCluster + MaxNamespace + MaxServiceAccount + MaxObject + 1 + 8 + 1 + sealerIDSize

// The bytes before an optional field. Any other value is malformed.
const (
	tagAbsent  = 0 // any name; no not-after time
	tagPresent = 1
)

// header is the plaintext prefix of a sealed value, authenticated with its
// ciphertext.
type header struct {
	suite Suite
	key   KeyID
	scope Scope
	by    signer
}

// encode returns the only encoding of h, whose scope is valid.
func (h header) encode() []byte {
	out := make([]byte, 0, 128)
	suite := byte(h.suite)
	if h.by.kind != 0 {
		suite |= signedBit
	}
	out = append(out, formatVersion, suite)
	out = append(out, h.key[:]...)
	for _, name := range []Name{h.scope.Cluster, h.scope.Namespace, h.scope.ServiceAccount, h.scope.Object} {
		if name.any {
			out = append(out, tagAbsent)
			continue
		}
		out = append(out, tagPresent)
		out = binary.BigEndian.AppendUint16(out, uint16(len(name.exact))) //nolint:gosec // a valid scope is within MaxObject
		out = append(out, name.exact...)
	}
	if h.scope.NotAfter.IsZero() {
		out = append(out, tagAbsent)
	} else {
		out = append(out, tagPresent)
		out = binary.BigEndian.AppendUint64(out, uint64(h.scope.NotAfter.Unix())) //nolint:gosec // a valid scope is after 1970
	}
	if h.by.kind == 0 {
		return out
	}
	return append(append(out, h.by.kind), h.by.id[:]...)
}

// decodeHeader decodes the header at the start of data and returns the remaining
// bytes. It accepts only what encode returns.
func decodeHeader(data []byte) (header, []byte, error) {
	r := reader{rest: data}
	if version := r.byte("format version"); r.err == nil && version != formatVersion {
		return header{}, nil, fmt.Errorf("%w: %d inside a text of version %d; use a newer lanyard, or seal the value again", ErrUnknownVersion, version, formatVersion)
	}
	suite := r.byte("suite")
	h := header{suite: Suite(suite &^ signedBit)}
	if r.err == nil {
		if _, err := h.suite.scheme(); err != nil {
			return header{}, nil, err
		}
	}
	copy(h.key[:], r.take(keyIDSize, "key id"))
	h.scope.Cluster = r.name("cluster", MaxCluster)
	h.scope.Namespace = r.name("namespace", MaxNamespace)
	h.scope.ServiceAccount = r.name("service account", MaxServiceAccount)
	h.scope.Object = r.name("object name", MaxObject)
	if r.present("not-after") {
		h.scope.NotAfter = r.time("not-after")
	}
	if suite&signedBit != 0 {
		h.by.kind = r.byte("kind of signature")
		copy(h.by.id[:], r.take(sealerIDSize, "sealer id"))
		if r.err == nil && h.by.kind != sealerEd25519 {
			return header{}, nil, fmt.Errorf("%w: a signature of kind %d; use a newer lanyard, or seal the value again with this one", ErrUnknownSuite, h.by.kind)
		}
	}
	if r.err != nil {
		return header{}, nil, r.err
	}
	if err := h.scope.Validate(); err != nil {
		return header{}, nil, malformed("%v", err)
	}
	return h, r.rest, nil
}

// reader takes fields from the front of rest and stops at the first error.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int, field string) []byte {
	if r.err == nil && len(r.rest) < n {
		r.err = malformed("it is cut off in the %s; copy the whole text", field)
	}
	if r.err != nil {
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte(field string) byte {
	if taken := r.take(1, field); taken != nil {
		return taken[0]
	}
	return 0
}

func (r *reader) present(field string) bool {
	tag := r.byte(field)
	if r.err == nil && tag != tagAbsent && tag != tagPresent {
		r.err = malformed("the %s is marked neither present nor absent", field)
	}
	return r.err == nil && tag == tagPresent
}

func (r *reader) name(field string, limit int) Name {
	if !r.present(field) {
		return Any()
	}
	exact := r.sized(field, limit)
	if r.err != nil {
		return Name{}
	}
	return Exact(string(exact))
}

// sized takes a field of 1 to limit bytes, preceded by its length in two bytes.
func (r *reader) sized(field string, limit int) []byte {
	size := r.take(2, field)
	if r.err != nil {
		return nil
	}
	n := int(binary.BigEndian.Uint16(size))
	if n < 1 || n > limit {
		r.err = malformed("the %s has %d bytes, 1 to %d are possible", field, n, limit)
		return nil
	}
	return r.take(n, field)
}

func (r *reader) time(field string) time.Time {
	taken := r.take(8, field)
	if r.err != nil {
		return time.Time{}
	}
	seconds := binary.BigEndian.Uint64(taken)
	if seconds < 1 || seconds > lastSecond {
		r.err = malformed("the %s is not between the years 1970 and 9999", field)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
