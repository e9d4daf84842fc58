// Package jsonsize tells what decoding a text in JSON will cost in memory before it is
// paid: a few MiB of empty objects become a GiB.
package jsonsize

// CostOfValue is about what a decoded value takes in memory beside its own text, in
// bytes.
const CostOfValue = 128

// Cost is about what a whole text takes in memory once it is decoded, in bytes.
func Cost(text []byte) int64 {
	var c Counter
	c.Add(text)
	return 2*int64(len(text)) + CostOfValue*c.Values
}

// Counter counts the values of a text in JSON as it comes, by what stands before each
// outside strings, and so rather too many than too few. Text that does not begin as an
// object or a list has at most one. The zero Counter has seen nothing.
type Counter struct {
	// Values is how many have been seen.
	Values int64

	began, isJSON          bool
	inString, afterEscaped bool
}

// Add counts the values of the next piece.
func (c *Counter) Add(text []byte) {
	for _, b := range text {
		switch {
		case !c.began:
			if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
				c.began, c.isJSON = true, b == '{' || b == '['
				c.Values = 2
			}
		case !c.isJSON:
			return
		case c.afterEscaped:
			c.afterEscaped = false
		case c.inString:
			c.inString, c.afterEscaped = b != '"', b == '\\'
		case b == '"':
			c.inString = true
		case b == '[':
			c.Values += 2 // itself, and its first value
		case b == ',' || b == ':' || b == '{':
			c.Values++
		}
	}
}
