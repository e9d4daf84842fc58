package seal

// EncodeHeader encodes the header of a parsed value again from what Parse
// understood of it.
func EncodeHeader(s *Sealed) []byte { return s.encode() }

// ParseSealer and ParseSealerPublic read the content of files.
func ParseSealer(data []byte) (*Sealer, error)          { return parseSealer(data) }
func ParseSealerPublic(data []byte) (*SealerKey, error) { return parseSealerKey(data) }
