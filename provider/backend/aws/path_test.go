package aws

import "testing"

func TestWhatLiesBelowAPath(t *testing.T) {
	for _, test := range []struct {
		path, name      string
		right, anywhere bool
	}{
		{"/a", "/a/b", true, true},
		{"/a/", "/a/b", true, true},
		{"/a", "/a/b/c", false, true},
		{"/a", "/a", false, false},
		{"/a", "/a/", false, false},
		{"/a", "/ab/c", false, false},
		{"/a", "/A/b", false, false},
		{"a", "/a/b", false, false},
		{"/", "/a", true, true},
		{"/", "a", true, true},
		{"/", "/a/b", false, true},
		{"/", "a/b", false, false},
	} {
		for _, recursive := range []bool{false, true} {
			q := PathQuery{Query: Query{First: Wanted{Name: test.path}}, Path: true, Recursive: recursive}
			want := test.right
			if recursive {
				want = test.anywhere
			}
			if got := q.Below(Target{}).Wants(test.name); got != want {
				t.Errorf("%s below %s, recursive %t: %t", test.name, test.path, recursive, got)
			}
		}
	}
}
