package pictures

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPicturesOfThePagesCanBeRead takes every SVG file of the repository.
func TestPicturesOfThePagesCanBeRead(t *testing.T) {
	root := os.DirFS(filepath.Join("..", "..", "docs"))
	found := 0
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case filepath.Ext(path) != ".svg":
			return nil
		}
		svg, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		found++
		if err := Check(svg); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil || found < 2 {
		t.Fatalf("%d pictures were found: %v", found, err)
	}
}

// picture of one text of 10 pixels at 20,50, and whatever else.
func pictureWith(rest string) []byte {
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 100"><style>
.card { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #999999 } .line { stroke: #000000 }
@media (prefers-color-scheme: dark) { .card { fill: #0d1117 } .text { fill: #e6edf3 } }
</style><rect class="card" x="0" y="0" width="200" height="100"/><text class="text" x="20" y="50" font-size="10">label</text>` + rest + `</svg>`)
}

func TestWhatCannotBeReadIsFound(t *testing.T) {
	for name, test := range map[string]struct{ rest, want string }{
		"nothing wrong":          {``, ``},
		"a line below":           {`<line class="line" x1="10" y1="54" x2="90" y2="54"/>`, ``},
		"a line through":         {`<line class="line" x1="10" y1="47" x2="90" y2="47"/>`, `"label" at 20,42 to 44,52 is crossed by the line 10,47 to 90,47`},
		"a slanting line":        {`<path class="line" d="M 10 20 L 40 70"/>`, `is crossed`},
		"a slanting line beside": {`<path class="line" d="M 10 50 L 40 100"/>`, ``},
		"an edge through":        {`<rect class="card" x="30" y="40" width="50" height="20"/>`, `is crossed`},
		"a box around":           {`<rect class="card" x="15" y="40" width="50" height="20"/>`, ``},
		"text over text":         {`<text class="text" x="40" y="50" font-size="10">other</text>`, `lie over each other`},
		"text to the left edge":  {`<text class="text" x="20" y="80" font-size="10" text-anchor="end">other</text>`, `"other" is cut`},
		"text to the right edge": {`<text class="text" x="150" y="80" font-size="10">wide wide wide</text>`, `is cut`},
		"bold text is wider":     {`<text class="text" x="106" y="80" font-size="10" font-weight="bold">wide wide wide wid</text>`, `is cut`},
		"a faint text":           {`<text class="faint" x="20" y="80" font-size="10">other</text>`, `contrast of 2.8`},
		"an unknown class":       {`<text class="other" x="20" y="80" font-size="10">other</text>`, `no colour`},
		"an unknown element":     {`<circle r="3"/>`, `circle: is not understood`},
		"a curve":                {`<path class="line" d="M 10 20 C 40 70 1 1 1 1"/>`, `not understood`},
		"a moved group":          {`<text transform="rotate(3)" x="20" y="80" font-size="10">other</text>`, `not understood`},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(pictureWith(test.rest))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAPictureNeedsColoursForADarkPage(t *testing.T) {
	err := Check([]byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><style>.card { fill: #ffffff }</style></svg>`))
	if err == nil || !strings.Contains(err.Error(), "dark page") {
		t.Errorf("got %v", err)
	}
}
