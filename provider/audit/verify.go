package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Report is what Verify found.
type Report struct {
	// Records is how many records are whole and in their order, up to Problem. First and
	// Last are their numbers.
	Records uint64 `json:"records"`
	First   uint64 `json:"first,omitempty"`
	Last    uint64 `json:"last,omitempty"`
	// Hash is that of the last of them: with its number, a Known for the next time.
	Hash string `json:"hash,omitempty"`
	// Lost is how many records could not be written in their time, as later ones say: they
	// are not missing.
	Lost uint64 `json:"lost,omitempty"`
	// Problem is the first record that is missing or was changed; nil if none is.
	Problem *Problem `json:"problem,omitempty"`
}

// Problem is a place at which a chain is not as it was written.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Known is a record that is known to have been written; the zero Known is none. Without
// its Hash, records that were removed while nobody wrote are not missed once as many others
// have been written.
type Known struct {
	Seq  uint64
	Hash string // may be empty
}

// ParseKnown parses NUMBER or NUMBER:HASH.
func ParseKnown(text string) (Known, error) {
	number, hash, hashed := strings.Cut(text, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	sum, notHex := hex.DecodeString(hash)
	if err != nil || seq == 0 || hashed && (notHex != nil || len(sum) != sha256.Size) {
		return Known{}, errors.New("must be the number of a record, or its number and its hash of 64 hexadecimal digits, such as 120931:5f0c…")
	}
	return Known{Seq: seq, Hash: strings.ToLower(hash)}, nil
}

// verifier walks along a chain.
type verifier struct {
	mac    hash.Hash
	known  Known
	report Report
}

// Verify checks the chain in the files of one trail, in whatever order they are given: that
// records are missing at the end, nothing but known tells. An error is one of reading.
func Verify(keyFile string, paths []string, known Known) (Report, error) {
	mac, err := readKey(keyFile)
	if err != nil {
		return Report{}, err
	}
	type start struct {
		path string
		seq  uint64
	}
	starts := make([]start, 0, len(paths))
	for _, path := range paths {
		seq, err := firstSeq(path)
		if err != nil {
			return Report{}, err
		}
		starts = append(starts, start{path, seq})
	}
	slices.SortStableFunc(starts, func(a, b start) int { return cmp.Compare(a.seq, b.seq) })
	v := &verifier{mac: mac, known: known}
	for _, s := range starts {
		if err := v.file(s.path); err != nil || v.report.Problem != nil {
			return v.report, err
		}
	}
	switch {
	case v.report.Records == 0:
		return v.report, errors.New("there is no record in these files")
	case v.report.Last < known.Seq:
		v.report.Problem = &Problem{File: starts[len(starts)-1].path, Text: fmt.Sprintf("record %d is missing: the last record is %d, and %d was written", v.report.Last+1, v.report.Last, known.Seq)}
	}
	return v.report, nil
}

// link is what a record says of the chain.
type link struct {
	Event  Event  `json:"event"`
	Result string `json:"result"`
	Count  uint64 `json:"count"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	Seq    uint64 `json:"seq"`
	Prev   string `json:"prev"`
	Hash   string `json:"hash"`
}

// firstSeq is the number of a file's first record, zero if that cannot be told.
func firstSeq(path string) (uint64, error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer in.Close() //nolint:errcheck // it is only read
	line, err := readLine(bufio.NewReader(in))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	var l link
	if json.Unmarshal(line, &l) != nil {
		return 0, nil
	}
	return l.Seq, nil
}

// readLine reads a line with its newline; the last may have none.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > maxLine {
			return nil, fmt.Errorf("a line is longer than %d MiB", maxLine>>20)
		}
	}
}

func (v *verifier) file(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it is only read
	reader := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(reader)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if wrong := v.next(line); wrong != "" {
			v.report.Problem = &Problem{path, n, wrong}
			return nil
		}
	}
}

// next checks that a line follows the one before, and says what is wrong.
func (v *verifier) next(line []byte) string {
	expected := v.report.Last + 1
	var l link
	body, whole := bytes.CutSuffix(line, []byte("\n"))
	switch {
	case !whole:
		return fmt.Sprintf("record %d is cut off", expected)
	case json.Unmarshal(body, &l) != nil:
		return fmt.Sprintf("record %d was changed: the line is no JSON object of a record", expected)
	case l.Seq == 0 || l.Hash == "":
		return fmt.Sprintf("record %d was changed: the line has no number or no hash; was it written without audit.chainKeyFile?", expected)
	}
	at := bytes.LastIndex(body, []byte(hashField))
	if at < 0 || string(body[at:]) != hashField+l.Hash+`"}` || !hmac.Equal([]byte(sum(v.mac, body[:at])), []byte(l.Hash)) {
		return fmt.Sprintf("record %d was changed, or written with another key: its hash does not match", l.Seq)
	}
	first := v.report.Records == 0
	if first {
		v.report.First, expected = l.Seq, l.Seq
	}
	switch {
	case l.Seq > expected && l.Event == Lost && l.Result == sinkFile && l.First == expected && l.Last == l.Seq-1:
	case l.Seq > expected:
		return fmt.Sprintf("record %d is missing: record %d follows record %d", expected, l.Seq, v.report.Last)
	case l.Seq < expected:
		return fmt.Sprintf("record %d is missing: record %d follows record %d, which belongs elsewhere or is of another chain", expected, l.Seq, v.report.Last)
	case l.Seq == v.known.Seq && v.known.Hash != "" && l.Hash != v.known.Hash:
		return fmt.Sprintf("record %d is another than the one that was known: records up to it were removed, and others written", l.Seq)
	case !first && l.Prev != v.report.Hash:
		return fmt.Sprintf("record %d does not follow the record %d that stands before it: one of them is of another chain", l.Seq, v.report.Last)
	}
	if l.Event == Lost {
		v.report.Lost += l.Count
	}
	v.report.Records++
	v.report.Last, v.report.Hash = l.Seq, l.Hash
	return ""
}
