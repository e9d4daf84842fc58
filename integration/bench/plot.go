package main

import (
	_ "embed"
	"os"
	"strings"
	"text/template"
)

// The plot's measures, in the units of its view box. It is as narrow as its
// texts allow, so that it can be read where it is made as small as a telephone.
const (
	plotWidth  = 500
	plotSide   = 20  // free at the left and at the right
	plotTop    = 88  // above the first row: title and legend
	plotRow    = 44  // from one row to the next
	plotFull   = 100 // per cent that the whole track stands for
	plotLength = plotWidth - 2*plotSide
)

//go:embed plot.svg.tmpl
var plotTemplate string

// share is how much of what is allowed a value takes, in per cent: less is
// better, and 100 is the target.
func (f figure) share(value float64) float64 {
	switch {
	case value == 0:
		return 0
	case f.Bound == atLeast:
		return 100 * f.Target / value
	}
	return 100 * value / f.Target
}

// row is one figure of the plot, as the template places it.
type row struct {
	Name, Value string
	// Text is the line that its texts stand on, Top where its bar begins.
	Text, Top int
	// MarkTop and MarkEnd are the ends of its floor's mark.
	MarkTop, MarkEnd int
	// Bar is how long the bar is, Floor where the mark is; zero is none.
	Bar, Floor float64
	Missed     bool
}

// drawPlot draws the figures that have a name for it, each as its share of what
// is allowed, with a mark for its floor's share. A figure that misses its target
// fills the track and is told by colour and word.
func drawPlot(r *result) (string, error) {
	var rows []row
	length := func(share float64) float64 { return plotLength * min(share, plotFull) / plotFull }
	for _, f := range r.Figures {
		if f.Chart == "" || f.Target == 0 {
			continue
		}
		y := plotTop + plotRow*len(rows)
		one := row{
			Name: f.Chart, Value: number(f.Value) + " " + f.Unit + ", max " + number(f.Target),
			Text: y + 14, Top: y + 23, MarkTop: y + 20, MarkEnd: y + 36, Bar: length(f.share(f.Value)), Missed: !f.met(),
		}
		if f.Bound == atLeast {
			one.Value = number(f.Value) + " " + f.Unit + ", min " + number(f.Target)
		}
		if one.Missed {
			one.Value = "missed: " + one.Value
		}
		if f.Floor != 0 {
			one.Floor = plotSide + length(f.share(f.Floor))
		}
		rows = append(rows, one)
	}
	var svg strings.Builder
	parsed, err := template.New("plot").Parse(plotTemplate)
	if err != nil {
		return "", err
	}
	height := plotTop + plotRow*len(rows) + 12
	err = parsed.Execute(&svg, map[string]any{
		"Rows": rows, "Width": plotWidth, "Height": height, "CardWidth": plotWidth - 1, "CardHeight": height - 1,
		"Side": plotSide, "Right": plotWidth - plotSide, "Length": plotLength,
	})
	return svg.String(), err
}

func writePlot(path string, r *result) error {
	svg, err := drawPlot(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(svg), 0o644) //nolint:gosec // it is published
}
