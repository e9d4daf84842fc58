package pictures

import (
	"errors"
	"fmt"
	"image/color"
	"maps"
	"math"
	"regexp"
)

var (
	darkPage = regexp.MustCompile(`(?s)@media \(prefers-color-scheme: dark\) \{(.*?\})\s*\}`)
	fillRule = regexp.MustCompile(`\.([a-z]+) \{[^}]*\bfill: (#[0-9a-f]{6})\b`)
)

// addStyle reads the colours that classes are filled with.
func (p *picture) addStyle(css string) error {
	media := darkPage.FindStringSubmatch(css)
	if media == nil {
		return errors.New("has no colours for a dark page")
	}
	rules := func(css string) map[string]string {
		fills := map[string]string{}
		for _, rule := range fillRule.FindAllStringSubmatch(css, -1) {
			fills[rule[1]] = rule[2]
		}
		return fills
	}
	p.light = rules(darkPage.ReplaceAllString(css, ""))
	p.dark = maps.Clone(p.light)
	maps.Copy(p.dark, rules(media[1]))
	return nil
}

// contrast is that of the text and of the area that is right behind it, as WCAG
// 2.2 defines it.
func (p *picture) contrast(t text, dark bool) (float64, error) {
	fills := p.light
	if dark {
		fills = p.dark
	}
	behind := ""
	for _, a := range p.areas {
		if a.contains(t.box) && fills[a.class] != "" {
			behind = fills[a.class]
		}
	}
	if behind == "" || fills[t.class] == "" {
		return 0, fmt.Errorf("no colour is known for its class %q, or for what is behind it", t.class)
	}
	a, b := luminance(behind), luminance(fills[t.class])
	return (max(a, b) + 0.05) / (min(a, b) + 0.05), nil
}

// luminance is the relative luminance of a colour such as #1f2328.
func luminance(hex string) float64 {
	var c color.RGBA
	if _, err := fmt.Sscanf(hex, "#%02x%02x%02x", &c.R, &c.G, &c.B); err != nil {
		return math.NaN() // fillRule lets nothing else through
	}
	linear := func(channel uint8) float64 {
		share := float64(channel) / 255
		if share <= 0.04045 {
			return share / 12.92
		}
		return math.Pow((share+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}
