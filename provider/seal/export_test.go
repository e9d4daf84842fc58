package seal

// EncodeHeader encodes the header of a parsed value again from what Parse
// understood of it.
func EncodeHeader(s *Sealed) []byte { return s.encode() }
