package main

import (
	"fmt"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The plot's colours can be told apart, and from both a white and a dark page.
func ink() color.Color            { return color.RGBA{0x80, 0x86, 0x8e, 0xff} }
func providerColour() color.Color { return color.RGBA{0x2f, 0x81, 0xf7, 0xff} }
func floorColour() color.Color    { return color.RGBA{0xb0, 0xb6, 0xbe, 0xff} }
func targetColour() color.Color   { return color.RGBA{0xd2, 0x3f, 0x31, 0xff} }

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

func writePlot(path string, r *result) error {
	p, rows, err := draft(r)
	if err != nil {
		return err
	}
	return saveSVG(p, path, rows)
}

// draft draws the figures that have a name for it, each as its share of what is
// allowed, beside its floor's share. It returns how many there are.
func draft(r *result) (*plot.Plot, int, error) {
	shown := slices.DeleteFunc(slices.Clone(r.Figures), func(f figure) bool { return f.Chart == "" || f.Target == 0 })
	slices.Reverse(shown) // the axis counts from below
	var names []string
	var providers, floors plotter.Values
	labels := plotter.XYLabels{}
	most := 100.0
	for i, f := range shown {
		names = append(names, f.Chart)
		providers = append(providers, f.share(f.Value))
		floors = append(floors, f.share(f.Floor))
		most = max(most, f.share(f.Value), f.share(f.Floor))
		text := number(f.Value) + " " + f.Unit
		if f.Floor != 0 {
			text += fmt.Sprintf(" (floor %s)", number(f.Floor))
		}
		labels.Labels = append(labels.Labels, text)
		labels.XYs = append(labels.XYs, plotter.XY{X: max(f.share(f.Value), f.share(f.Floor)), Y: float64(i)})
	}

	p := plot.New()
	p.BackgroundColor = nil // the page's own
	p.X.Label.Text = "% of what the target allows (shorter is better)"
	p.X.Min, p.X.Max = 0, most*1.35 // room for the labels
	const bar = 6 * vg.Length(1)
	provider, err := horizontalBars(providers, bar, bar/2, providerColour())
	if err != nil {
		return nil, 0, err
	}
	floor, err := horizontalBars(floors, bar, -bar/2, floorColour())
	if err != nil {
		return nil, 0, err
	}
	target, err := plotter.NewLine(plotter.XYs{{X: 100, Y: -0.5}, {X: 100, Y: float64(len(shown)) - 0.5}})
	if err != nil {
		return nil, 0, err
	}
	target.Color, target.Dashes = targetColour(), []vg.Length{vg.Points(4), vg.Points(3)}
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return nil, 0, err
	}
	for i := range texts.TextStyle {
		style(&texts.TextStyle[i])
		texts.TextStyle[i].YAlign = draw.YCenter
	}
	texts.Offset.X = vg.Points(4)
	p.Add(provider, floor, target, texts)
	// A viewer without the font takes a wider one: the room is for its letters.
	const room = "     "
	for i := range names {
		names[i] += room
	}
	p.NominalY(names...)
	p.Legend.Add("lanyard"+room, provider)
	p.Legend.Add("floor"+room, floor)
	p.Legend.Add("target"+room, target)
	// Below at the right there is room: those figures have no floor.
	p.Legend.Padding, p.Legend.YOffs, p.Legend.XOffs = vg.Points(3), vg.Points(8), vg.Points(-8)
	p.Legend.TextStyle.Font.Size = vg.Points(10)
	p.X.Tick.Marker = quarters(p.X.Max)
	styleAxes(p)
	return p, len(shown), nil
}

func horizontalBars(values plotter.Values, width, offset vg.Length, fill color.Color) (*plotter.BarChart, error) {
	bars, err := plotter.NewBarChart(values, width)
	if err != nil {
		return nil, err
	}
	bars.Horizontal, bars.Offset, bars.Color = true, offset, fill
	bars.LineStyle.Width = 0
	return bars, nil
}

// quarters marks every 25 % of the axis.
func quarters(most float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for at := 0.0; at <= most; at += 25 {
		ticks = append(ticks, plot.Tick{Value: at, Label: number(at)})
	}
	return ticks
}

func styleAxes(p *plot.Plot) {
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color = ink(), ink()
		style(&axis.Label.TextStyle)
		style(&axis.Tick.Label)
	}
	style(&p.Legend.TextStyle)
}

func style(text *draw.TextStyle) {
	text.Color, text.Font.Variant = ink(), "Sans"
}

func saveSVG(p *plot.Plot, path string, rows int) error {
	width, height := 22*vg.Centimeter, (vg.Length(rows)*0.75+2)*vg.Centimeter
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		_ = file.Close() //nolint:errcheck // it is of no use anyway
		return err
	}
	return file.Close()
}
