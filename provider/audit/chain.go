package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"strconv"

	"github.com/lanyardhq/lanyard/internal/nodefile"
)

// maxKey is the largest key file that is read.
const maxKey = 64 << 10

// readKey reads the key of a chain.
func readKey(path string) (hash.Hash, error) {
	data, err := nodefile.ReadPrivate(path, maxKey)
	if err != nil {
		return nil, err
	}
	if len(data) < sha256.Size {
		return nil, fmt.Errorf("%s: has %d bytes; it needs at least %d random ones", path, len(data), sha256.Size)
	}
	return hmac.New(sha256.New, data), nil
}

// chain is the end of a chain of records. The zero chain has no key and leaves lines as
// they are.
type chain struct {
	mac  hash.Hash
	seq  uint64 // of the last record
	prev string // its hash; empty before the first
}

// end completes a line, from the start of the record to its newline.
func (c *chain) end(line []byte, start int) []byte {
	if c.mac == nil {
		return append(line, "}\n"...)
	}
	c.seq++
	line = number(line, "seq", c.seq)
	line = field(line, "prev", c.prev)
	c.prev = sum(c.mac, line[start:])
	line = field(line, "hash", c.prev)
	return append(line, "}\n"...)
}

// sum is the keyed hash of a record up to the field hash.
func sum(mac hash.Hash, record []byte) string {
	mac.Reset()
	mac.Write(record)
	return hex.EncodeToString(mac.Sum(nil))
}

// hashField is how the field hash of a line begins; it is the last.
const hashField = `,"hash":"`

// resume makes the chain go on after a line that was written before, the last of a file.
func (c *chain) resume(line []byte) error {
	var last struct {
		Seq  uint64 `json:"seq"`
		Hash string `json:"hash"`
	}
	if err := json.Unmarshal(line, &last); err != nil {
		return fmt.Errorf("the last line is no record (%s); move the file away", strconv.Quote(string(line[:min(len(line), 40)])))
	}
	c.seq, c.prev = last.Seq, last.Hash
	return nil
}
