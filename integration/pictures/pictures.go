// Package pictures tells whether the SVG files of the pages can be read: no
// text is cut or crossed by a line, none lies over another, and each stands out
// from what is behind it, with a light and with a dark page.
//
// Check is all there is. It understands what those files use: rect, line, path
// of straight lines, and text with its place, size and weight as attributes and
// its colours as classes of one style element. Anything else is an error, so
// that nothing goes unchecked.
package pictures

import (
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"codeberg.org/go-fonts/dejavu/dejavusans"
	"codeberg.org/go-fonts/dejavu/dejavusansbold"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

const (
	// margin is what must be free between a text and the picture's edge.
	margin = 4
	// minContrast is what level AA of WCAG 2.2 asks of text (criterion 1.4.3).
	minContrast = 4.5
)

// Check returns everything that is wrong with a picture.
func Check(svg []byte) error {
	p, err := read(svg)
	if err != nil {
		return err
	}
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	inside := box{p.view.x0 + margin, p.view.y0 + margin, p.view.x1 - margin, p.view.y1 - margin}
	for i, t := range p.texts {
		if !inside.contains(t.box) {
			add("%q is cut by the picture's edge: it takes %v of %v", t.text, t.box, p.view)
		}
		for _, other := range p.texts[i+1:] {
			if t.overlaps(other.box) {
				add("%q and %q lie over each other", t.text, other.text)
			}
		}
		for _, s := range p.strokes {
			if s.crosses(t.box) {
				add("%q at %v is crossed by the line %v", t.text, t.box, s)
			}
		}
		for _, dark := range []bool{false, true} {
			ratio, err := p.contrast(t, dark)
			if err != nil {
				add("%q: %w", t.text, err)
			} else if ratio < minContrast {
				add("%q has a contrast of %.1f to what is behind it (dark page: %v), less than %.1f", t.text, ratio, dark, minContrast)
			}
		}
	}
	return errors.Join(wrong...)
}

// picture is what of a file can be in the way of a text.
type picture struct {
	view    box
	texts   []text
	strokes []stroke // lines, and the edges of areas
	areas   []area   // from the back to the front
	light   map[string]string
	dark    map[string]string
}

type text struct {
	box
	text, class string
}

type area struct {
	box
	class string
}

type box struct{ x0, y0, x1, y1 float64 }

func (b box) String() string { return fmt.Sprintf("%.0f,%.0f to %.0f,%.0f", b.x0, b.y0, b.x1, b.y1) }

func (b box) contains(c box) bool {
	return b.x0 <= c.x0 && b.y0 <= c.y0 && b.x1 >= c.x1 && b.y1 >= c.y1
}

func (b box) overlaps(c box) bool { return b.x0 < c.x1 && c.x0 < b.x1 && b.y0 < c.y1 && c.y0 < b.y1 }

type stroke struct{ x0, y0, x1, y1 float64 }

func (s stroke) String() string {
	return fmt.Sprintf("%.0f,%.0f to %.0f,%.0f", s.x0, s.y0, s.x1, s.y1)
}

// crosses clips the stroke to the box, by Liang and Barsky, and says whether
// anything is left.
func (s stroke) crosses(b box) bool {
	from, to := 0.0, 1.0
	clip := func(step, room float64) bool {
		switch {
		case step == 0:
			return room >= 0
		case step < 0:
			from = max(from, room/step)
		default:
			to = min(to, room/step)
		}
		return from <= to
	}
	dx, dy := s.x1-s.x0, s.y1-s.y0
	return clip(-dx, s.x0-b.x0) && clip(dx, b.x1-s.x0) && clip(-dy, s.y0-b.y0) && clip(dy, b.y1-s.y0)
}

// read takes an SVG file apart.
func read(svg []byte) (*picture, error) {
	var root element
	if err := xml.Unmarshal(svg, &root); err != nil {
		return nil, err
	}
	view := strings.Fields(root.attr("viewBox"))
	if root.XMLName.Local != "svg" || len(view) != 4 {
		return nil, errors.New("not an svg element with a viewBox")
	}
	p := &picture{}
	corner, err := numbers(view...)
	if err != nil {
		return nil, err
	}
	p.view = box{corner[0], corner[1], corner[0] + corner[2], corner[1] + corner[3]}
	for _, e := range root.Children {
		if err := p.add(e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.XMLName.Local, err)
		}
	}
	return p, nil
}

type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (p *picture) add(e element) error {
	if len(e.Children) > 0 || e.attr("style") != "" || e.attr("transform") != "" {
		return errors.New("children, styles and transforms are not understood")
	}
	switch e.XMLName.Local {
	case "title", "desc":
		return nil
	case "style":
		return p.addStyle(e.Text)
	case "rect":
		n, err := numbers(e.attr("x"), e.attr("y"), e.attr("width"), e.attr("height"))
		if err != nil {
			return err
		}
		b := box{n[0], n[1], n[0] + n[2], n[1] + n[3]}
		p.areas = append(p.areas, area{b, e.attr("class")})
		p.outline(b.x0, b.y0, b.x1, b.y0, b.x1, b.y1, b.x0, b.y1, b.x0, b.y0)
		return nil
	case "line":
		n, err := numbers(e.attr("x1"), e.attr("y1"), e.attr("x2"), e.attr("y2"))
		if err == nil {
			p.outline(n...)
		}
		return err
	case "path":
		return p.addPath(e.attr("d"))
	case "text":
		t, err := readText(e)
		p.texts = append(p.texts, t)
		return err
	}
	return errors.New("is not understood")
}

// outline adds the strokes between points, given as x, y, x, y, and so on.
func (p *picture) outline(points ...float64) {
	for i := 0; i+3 < len(points); i += 2 {
		p.strokes = append(p.strokes, stroke{points[i], points[i+1], points[i+2], points[i+3]})
	}
}

// addPath reads a path of one M, absolute L with spaces in between, and perhaps
// a Z.
func (p *picture) addPath(d string) error {
	var points []float64
	words := strings.Fields(d)
	for i := 0; i < len(words); i += 3 {
		command := words[i]
		switch {
		case command == "Z" && i > 0 && i == len(words)-1:
			points = append(points, points[0], points[1])
			continue
		case command == "M" && i == 0 && len(words) > 2, command == "L" && i > 0 && i+2 < len(words):
		default:
			return fmt.Errorf("%q is not understood", d)
		}
		n, err := numbers(words[i+1], words[i+2])
		if err != nil {
			return err
		}
		points = append(points, n...)
	}
	p.outline(points...)
	return nil
}

// readText measures a text in DejaVu Sans, which is wider than the fonts that
// browsers take for sans-serif elsewhere.
func readText(e element) (text, error) {
	n, err := numbers(e.attr("x"), e.attr("y"), e.attr("font-size"))
	if err != nil {
		return text{}, err
	}
	x, y, size := n[0], n[1], n[2]
	ttf := dejavusans.TTF
	switch e.attr("font-weight") {
	case "":
	case "bold":
		ttf = dejavusansbold.TTF
	default:
		return text{}, errors.New("font-weight must be bold or nothing")
	}
	parsed, err := opentype.Parse(ttf)
	if err != nil {
		return text{}, err
	}
	const fine = 64 // measured larger, because a face rounds
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size * fine, DPI: 72})
	if err != nil {
		return text{}, err
	}
	width := pixels(font.MeasureString(face, e.Text)) / fine
	tall, _ := font.BoundString(face, "lp") // every text may have letters like these
	top, bottom := pixels(tall.Min.Y)/fine, pixels(tall.Max.Y)/fine
	switch e.attr("text-anchor") {
	case "", "start":
	case "middle":
		x -= width / 2
	case "end":
		x -= width
	default:
		return text{}, errors.New("text-anchor is not understood")
	}
	return text{box{x, y + top, x + width, y + bottom}, e.Text, e.attr("class")}, nil
}

func pixels(n fixed.Int26_6) float64 { return float64(n) / 64 }

func numbers(words ...string) ([]float64, error) {
	all := make([]float64, len(words))
	for i, word := range words {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("%q is not a number", word)
		}
		all[i] = n
	}
	return all, nil
}
