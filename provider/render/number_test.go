package render

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func FuzzNumbers(f *testing.F) {
	for _, seed := range [][2]string{
		{"1", "1.0"}, {"9007199254740993", "9007199254740992"}, {"-0", "0.0e5"}, {"0.1", "1e-1"}, {"100", "1E+2"}, {"-1.5", "-1.25"},
		{"1e999999999", "2"}, {"1e-300", "1e300"}, {"0.00100", "1e-3"}, {"120", "12"}, {"1e99999999999999999999", "1"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		left, right := json.Number(a), json.Number(b)
		for _, n := range []string{a, b} {
			if strings.TrimSpace(n) != n || n == "" || slices.Contains([]string{"n", "t", "f", `"`, "[", "{"}, n[:1]) || !json.Valid([]byte(n)) {
				return
			}
		}
		order, err := CompareNumbers(left, right)
		back, backErr := CompareNumbers(right, left)
		if order != -back || (err == nil) != (backErr == nil) {
			t.Errorf("%s and %s: %d, %v and %d, %v", a, b, order, err, back, backErr)
		}
		x, small := rational(a)
		y, alsoSmall := rational(b)
		if !small || !alsoSmall {
			return
		}
		if want := x.Cmp(y); err != nil || order != want {
			t.Errorf("%s and %s compare as %d, %v; want %d", a, b, order, err, want)
		}
		if sum, err := Sum([]json.Number{left, right}); err == nil {
			if got, _ := new(big.Rat).SetString(string(sum)); got == nil || got.Cmp(new(big.Rat).Add(x, y)) != 0 {
				t.Errorf("%s + %s = %s", a, b, sum)
			}
		}
		if mean, err := Mean([]json.Number{left, right}); err == nil {
			if got, _ := new(big.Rat).SetString(string(mean)); got == nil || got.Mul(got, big.NewRat(2, 1)).Cmp(new(big.Rat).Add(x, y)) != 0 {
				t.Errorf("the mean of %s and %s = %s", a, b, mean)
			}
		}
		for _, up := range []bool{false, true} {
			whole, err := Whole(left, up)
			if err != nil {
				continue
			}
			got, _ := new(big.Rat).SetString(string(whole))
			if got == nil || !got.IsInt() || (up && got.Cmp(x) < 0) || (!up && got.Cmp(x) > 0) || got.Sub(got, x).Abs(got).Cmp(big.NewRat(1, 1)) >= 0 {
				t.Errorf("%s to a whole number, up %v: %s", a, up, whole)
			}
		}
		if n, ok := Integer(left); ok != (x.IsInt() && x.Num().IsInt64()) || ok && n != x.Num().Int64() {
			t.Errorf("%s as an integer: %d, %v", a, n, ok)
		}
	})
}

// rational is the number as math/big has it, if that is small enough to make.
func rational(n string) (*big.Rat, bool) {
	if at := strings.IndexAny(n, "eE"); at >= 0 && len(strings.TrimLeft(n[at+1:], "+-0")) > 3 {
		return nil, false
	}
	r, ok := new(big.Rat).SetString(n)
	return r, ok
}
