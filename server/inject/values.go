package inject

import (
	"maps"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// yes says whether an annotation is true.
func (b *builder) yes(key string) bool {
	text, ok := b.annotation(key)
	if !ok {
		return false
	}
	value, err := strconv.ParseBool(strings.TrimSpace(text))
	if err != nil {
		b.problem("%s: must be true or false, not %s", key, shown(text))
	}
	return value
}

// list are the items of a text with commas or lines between.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ' ' || r == '\t' || r == '\r' })
}

func isPath(text string) bool {
	return path.IsAbs(text) && path.Clean(text) == text && text != "/" && !strings.ContainsAny(text, ":\n")
}

func isVariable(text string) bool {
	for i, r := range text {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != ""
}

func isLoopback(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.User != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// The longest times that an agent takes; the shortest is a second.
const (
	maxTimeout = time.Minute
	maxRefresh = 720 * time.Hour
)

// duration is a time as a text of Go or a number of seconds, within what an agent takes;
// empty if there is none. report tells of a text that is no time.
func (b *builder) duration(key, text string, limit time.Duration, report reporter) string {
	if text == "" {
		return ""
	}
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		report("%s: must be a time such as 30s, not %s", key, shown(text))
		return ""
	}
	if within := min(max(d, time.Second), limit); within != d {
		b.warn("%s: %s is taken for %s", key, shown(text), within)
		return within.String()
	}
	return text
}

// id is a user or group of Linux that is not root.
func (b *builder) id(key, text string) int64 {
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil || number <= 0 {
		b.problem("%s: must be a number above 0, not %s; containers that are added do not run as root", key, shown(text))
	}
	return number
}

// quantity sets a request or a limit; an empty text takes it away. report tells of a text
// that is no quantity.
func (b *builder) quantity(r *core.ResourceRequirements, limit bool, of core.ResourceName, key, text string, report reporter) {
	list := &r.Requests
	if limit {
		list = &r.Limits
	}
	if text == "" {
		delete(*list, of)
		return
	}
	parsed, err := resource.ParseQuantity(text)
	if err != nil {
		report("%s: must be a quantity such as 100m or 64Mi, not %s", key, shown(text))
		return
	}
	if *list == nil {
		*list = core.ResourceList{}
	}
	(*list)[of] = parsed
}

// fitted are resources whose requests, which may be the operator's, are within the limits.
func fitted(r core.ResourceRequirements) core.ResourceRequirements {
	for name, limit := range r.Limits {
		if request, ok := r.Requests[name]; ok && request.Cmp(limit) > 0 {
			r.Requests[name] = limit
		}
	}
	return r
}
