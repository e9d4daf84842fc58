package share_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/share"
)

// addTo adds the entries tenant/0, tenant/1, ... from the least recently used on.
func addTo(l *share.LRUs[string, int], tenant string, entries int) {
	for i := range entries {
		l.Add(fmt.Sprintf("%s/%d", tenant, i), i)
	}
}

func TestWhoHasTheMostEntriesLosesTheFirst(t *testing.T) {
	for name, test := range map[string]struct {
		has  map[string]int
		left int
		want map[string]int
	}{
		"within the bound":            {map[string]int{"a": 2, "b": 3}, 5, map[string]int{"a": 2, "b": 3}},
		"one has much more":           {map[string]int{"a": 90, "b": 5, "c": 5}, 30, map[string]int{"a": 20, "b": 5, "c": 5}},
		"two have more than theirs":   {map[string]int{"a": 90, "b": 50, "c": 5}, 45, map[string]int{"a": 20, "b": 20, "c": 5}},
		"all have the same afterward": {map[string]int{"a": 90, "b": 50, "c": 50}, 30, map[string]int{"a": 10, "b": 10, "c": 10}},
		"a tenant alone":              {map[string]int{"a": 90}, 30, map[string]int{"a": 30}},
		"nothing may be left":         {map[string]int{"a": 3, "b": 1}, 0, map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			evicted := 0
			l := share.NewLRUs(func(key string) string { tenant, _, _ := strings.Cut(key, "/"); return tenant }, func(string, int) { evicted++ })
			total := 0
			for tenant, n := range test.has {
				addTo(l, tenant, n)
				total += n
			}
			l.Shrink(test.left)
			kept := map[string][]string{}
			for _, key := range l.Keys() {
				tenant, _, _ := strings.Cut(key, "/")
				kept[tenant] = append(kept[tenant], key)
			}
			for tenant, n := range test.has {
				if got := len(kept[tenant]); got != test.want[tenant] {
					t.Errorf("%s has %d entries, want %d", tenant, got, test.want[tenant])
				}
				if youngest := fmt.Sprintf("%s/%d", tenant, n-1); test.want[tenant] > 0 && !slices.Contains(kept[tenant], youngest) {
					t.Errorf("%s lost the one it used last", tenant)
				}
			}
			if evicted != total-l.Len() {
				t.Errorf("%d of %d were evicted, and %d are left", evicted, total, l.Len())
			}
		})
	}
}
