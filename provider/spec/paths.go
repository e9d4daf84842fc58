package spec

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
)

// What the driver's file writer accepts (pkg/util/fileutil, atomic_writer.go):
// it refuses the whole volume because of one path that it does not like.
const (
	maxComponent = 255
	maxPath      = 4096
)

// WrongPath says why a path cannot be a file in a volume and what would be right,
// or nothing.
func WrongPath(p string) string {
	components := strings.Split(p, "/")
	switch {
	case !utf8.ValidString(p):
		return "is not UTF-8 text"
	case strings.ContainsFunc(p, unicode.IsControl):
		return "holds a control character; remove it"
	case path.IsAbs(p):
		return "must be relative to the volume; remove the leading /"
	case len(p) > maxPath:
		return fmt.Sprintf("is longer than %d bytes; shorten it", maxPath)
	case slices.Contains(components, ".."):
		return "must not leave the volume; remove the .."
	case strings.HasPrefix(p, ".."):
		return "begins with two dots, which the driver keeps for itself; rename it"
	case path.Clean(p) != p || p == ".":
		return "must name a file, without a slash at its end, empty parts, or parts that are a single dot"
	case slices.ContainsFunc(components, func(part string) bool { return len(part) > maxComponent }):
		return fmt.Sprintf("has a part that is longer than %d bytes; shorten it", maxComponent)
	}
	return ""
}

// duplicates refuses two objects of one name. Templates call an object by its
// name and by its path alike, so the two share one set of names.
func (v *classValidator) duplicates() {
	type owner struct {
		object int
		isPath bool
	}
	owners := make(map[string]owner, 2*len(v.class.Objects))
	for i, o := range v.class.Objects {
		for _, n := range []struct {
			field, text string
		}{{"path", o.Path}, {"name", o.Name}} {
			isPath := n.field == "path"
			first, taken := owners[n.text]
			switch {
			case n.text == "" || taken && first.object == i:
			case !taken:
				owners[n.text] = owner{i, isPath}
			case isPath && first.isPath:
				v.wrong(i, n.field, "%s has the same path; give each object a file of its own", v.label(first.object))
			case !isPath && !first.isPath:
				v.wrong(i, n.field, "%s has the same name; rename one of the two", v.label(first.object))
			default:
				v.wrong(i, n.field, "is also the %s of object %d, and templates could not tell them apart; rename one of the two", map[bool]string{true: "path", false: "name"}[first.isPath], v.class.Number(first.object))
			}
		}
	}
}

// directories refuses a file where another object needs a directory, and files
// among those of an expanded object, whose names are not known before it is
// read. Sorted with the slash before all else, what is below a path follows it
// directly, so that one pass with a stack of the paths above is enough.
func (v *classValidator) directories() {
	type entry struct {
		path   string
		object int
	}
	var entries []entry
	for i, o := range v.class.Objects {
		if o.Path != "" && WrongPath(o.Path) == "" {
			entries = append(entries, entry{o.Path, i})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(comparePaths(a.path, b.path), cmp.Compare(a.object, b.object))
	})
	var above []entry
	for _, e := range entries {
		for len(above) > 0 && !strings.HasPrefix(e.path, above[len(above)-1].path+"/") {
			above = above[:len(above)-1]
		}
		if len(above) > 0 {
			top := above[len(above)-1]
			if v.class.Objects[top.object].Expand {
				v.wrong(e.object, "path", "lies among the files of %s, which expands there; choose a path outside %s", v.label(top.object), message.Printable(top.path))
			} else {
				v.wrong(e.object, "path", "needs a directory where %s has a file; rename one of the two", v.label(top.object))
			}
		}
		above = append(above, e)
	}
}

// comparePaths orders paths by their bytes, the slash first.
func comparePaths(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			switch {
			case a[i] == '/':
				return -1
			case b[i] == '/':
				return 1
			}
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}
