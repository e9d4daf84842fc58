package cmd

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// knownValues finds values in texts, in any form in which a value is written: as it is,
// broken over lines, with the escapes of JSON, YAML, URLs and HTML, in base64 and in
// hexadecimal. It is an Aho-Corasick automaton of the forms, so that a text takes time by
// its length alone, whatever was chosen to slow it down.
type knownValues struct {
	nodes []knownNode
	root  [256]int32
	built bool
}

type knownNode struct {
	child, sibling, fail int32
	letter               byte
	found                uint8 // the length of the longest form that ends here
	depth                uint8
}

const (
	// maxKnownBytes bounds the values that are looked for, and with them the memory.
	maxKnownBytes = 512 << 10
	// knownPiece is the length of the pieces into which longer forms are cut, so that a
	// value of which a part was cut off is found too.
	knownPiece = 24
	// minForm is the shortest form that is looked for.
	minForm = 5
	// minCutForm is the shortest beginning of a form that is taken out at the end of a text
	// that was cut.
	minCutForm = 10
)

func newKnownValues() *knownValues { return &knownValues{nodes: make([]knownNode, 1)} }

// add adds a value. Whoever adds bounds the sum of all.
func (k *knownValues) add(value string) {
	plain := asMapped(value)
	joined := asMapped(strings.ReplaceAll(value, " ", "+")) // as forms of the web write spaces
	forms := [][]byte{plain.squeeze().text, plain.unescape().squeeze().text, joined.squeeze().text, joined.unescape().squeeze().text}
	code := hex.EncodeToString([]byte(value))
	forms = append(forms, []byte(code), []byte(strings.ToUpper(code)))
	for before := range 3 {
		forms = append(forms, base64Form(value, before))
	}
	for _, form := range forms {
		for len(form) > knownPiece {
			k.insert(form[:knownPiece])
			form = form[min(knownPiece, len(form)-knownPiece):]
		}
		k.insert(form)
	}
}

// base64Form is what the base64 of a text has of a value that stands in it behind before
// bytes, modulo three: the letters that the value alone decides.
func base64Form(value string, before int) []byte {
	code := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), value...))
	first := (before*8 + 5) / 6
	last := (before + len(value)) * 8 / 6
	if last <= first {
		return nil
	}
	return []byte(code[first:last])
}

func (k *knownValues) child(of int32, letter byte) int32 {
	if of == 0 {
		return k.root[letter]
	}
	for at := k.nodes[of].child; at != 0; at = k.nodes[at].sibling {
		if k.nodes[at].letter == letter {
			return at
		}
	}
	return 0
}

func (k *knownValues) insert(form []byte) {
	if len(form) < minForm {
		return
	}
	at := int32(0)
	for _, letter := range form {
		next := k.child(at, letter)
		if next == 0 {
			next = int32(len(k.nodes)) //nolint:gosec // maxKnownBytes bounds it
			k.nodes = append(k.nodes, knownNode{letter: letter, sibling: k.nodes[at].child, depth: k.nodes[at].depth + 1})
			k.nodes[at].child = next
			if at == 0 {
				k.root[letter] = next
			}
		}
		at = next
	}
	k.nodes[at].found = uint8(len(form)) //nolint:gosec // at most knownPiece
	k.built = false
}

// build links each node to that of its longest ending that begins a form.
func (k *knownValues) build() {
	queue := make([]int32, 0, len(k.nodes))
	for at := k.nodes[0].child; at != 0; at = k.nodes[at].sibling {
		k.nodes[at].fail = 0
		queue = append(queue, at)
	}
	for i := 0; i < len(queue); i++ {
		of := queue[i]
		for at := k.nodes[of].child; at != 0; at = k.nodes[at].sibling {
			fail := k.nodes[of].fail
			for fail != 0 && k.child(fail, k.nodes[at].letter) == 0 {
				fail = k.nodes[fail].fail
			}
			fail = k.child(fail, k.nodes[at].letter)
			k.nodes[at].fail = fail
			k.nodes[at].found = max(k.nodes[at].found, k.nodes[fail].found)
			queue = append(queue, at)
		}
	}
	k.built = true
}

// span is a part of a text, from a place up to another.
type span struct{ from, to int32 }

// find returns where the forms are. A text that was cut may end within one.
func (k *knownValues) find(in mappedText) (found []span) {
	at := int32(0)
	cut := func(i int) {
		if depth := int(k.nodes[at].depth); depth >= minCutForm {
			found = addSpan(found, span{in.from[i-depth], in.to[i-1]})
		}
	}
	for i, letter := range in.text {
		if letter == ellipsis[0] && strings.HasPrefix(string(in.text[i:min(len(in.text), i+len(ellipsis))]), ellipsis) {
			cut(i)
		}
		for at != 0 && k.child(at, letter) == 0 {
			at = k.nodes[at].fail
		}
		at = k.child(at, letter)
		if length := int(k.nodes[at].found); length > 0 {
			found = addSpan(found, span{in.from[i-length+1], in.to[i]})
		}
	}
	cut(len(in.text))
	return found
}

// addSpan adds a span that ends behind the others, and joins those that meet it.
func addSpan(found []span, one span) []span {
	for last := len(found) - 1; last >= 0 && found[last].to >= one.from; last-- {
		one.from, one.to = min(one.from, found[last].from), max(one.to, found[last].to)
		found = found[:last]
	}
	return append(found, one)
}

// ellipsis ends what messages cut.
const ellipsis = "…"

// remove takes the values out of a text.
func (k *knownValues) remove(text string) string {
	if len(k.nodes) == 1 {
		return text
	}
	if !k.built {
		k.build()
	}
	var found []span
	for _, depth := range asMapped(text).depths() {
		found = append(found, k.find(depth.squeeze())...)
	}
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return int(a.from) - int(b.from) })
	var clean strings.Builder
	end := int32(0)
	for i, one := range found {
		if i == 0 || one.from > end {
			clean.WriteString(text[end:one.from])
			clean.WriteString(secret.Redacted)
		}
		end = max(end, one.to)
	}
	clean.WriteString(text[end:])
	return clean.String()
}
