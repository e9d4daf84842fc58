package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
)

// columnTable is a table whose columns can be left out where the screen is narrow.
type columnTable struct {
	rows [][]string
	// spare are the columns that are left out, the first one first.
	spare []string
}

func newColumnTable(titles ...string) *columnTable { return &columnTable{rows: [][]string{titles}} }

// add adds a row, of whatever texts.
func (t *columnTable) add(cells ...string) {
	for i := range cells {
		cells[i] = printableName(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// columnGap is the space between two columns.
const columnGap = 2

// write writes the table in at most width columns, 0 for any, if that can be.
func (t *columnTable) write(w io.Writer, width int, color bool) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := func() (sum int) {
		for _, n := range widths {
			if n > 0 {
				sum += n + columnGap
			}
		}
		return sum - columnGap
	}
	for _, title := range t.spare {
		if width <= 0 || total() <= width {
			break
		}
		widths[slices.Index(t.rows[0], title)] = 0
	}
	last := len(widths) - 1
	for last > 0 && widths[last] == 0 {
		last--
	}
	for n, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			painted := cell
			if n > 0 && color && t.rows[0][i] == "STATE" {
				painted = paint(cell)
			}
			line.WriteString(painted)
			if i < last {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+columnGap))
			}
		}
		fmt.Fprintln(w, line.String())
	}
}

// paint colours a state: red for what is wrong, yellow for what waits or is old, green for
// what is right.
func paint(state string) string {
	color := "32"
	switch state {
	case string(holdingFailed), objectEnded, engine.StoreDown:
		color = "31"
	case string(holdingStale), string(holdingBehind), string(holdingWaiting), objectLagging:
		color = "33"
	case string(holdingMounted), engine.StoreUnasked, engine.FromAbsent:
		return state
	}
	return "\x1b[" + color + "m" + state + "\x1b[0m"
}

// indentedText is how long a text is that writeIndented writes.
const indentedText = 16 << 10

// writeIndented writes whatever text in lines of at most width columns, 0 for one line.
func writeIndented(w io.Writer, text string, width int) {
	line, indent := "  ", "    "
	empty := true
	for word := range strings.FieldsSeq(message.Cut(text, indentedText)) {
		word = printableText(word)
		if !empty && width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(w, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	fmt.Fprintln(w, line)
}
