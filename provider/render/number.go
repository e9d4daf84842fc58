package render

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

const (
	// maxExponent bounds the exponents that numbers are compared with, so that no
	// sum with a length overflows.
	maxExponent = 1e15
	// maxDigits is the maximum number of digits, zeros between the numbers counted,
	// that arithmetic works with: more than float64 has between its largest and its
	// smallest.
	maxDigits = 700
)

// decimal is a number as its text says it: 0.WHOLEFRACTION × 10^point. It has
// neither leading nor trailing zeros, and no digits at all if it is zero. Nothing in
// it is as large as the number, so 1e999999999 costs no more than 1.
type decimal struct {
	negative        bool
	whole, fraction string
	point           int64
}

func parseDecimal(n json.Number) (decimal, error) {
	var d decimal
	text := string(n)
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, power := text, ""
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		mantissa, power = text[:at], text[at+1:]
	}
	d.whole, d.fraction, _ = strings.Cut(mantissa, ".")
	if d.whole == "" || strings.Trim(d.whole, "0123456789") != "" || strings.Trim(d.fraction, "0123456789") != "" {
		return decimal{}, errors.New("this is no decimal number")
	}
	d.whole = strings.TrimLeft(d.whole, "0")
	if d.fraction = strings.TrimRight(d.fraction, "0"); d.fraction == "" {
		d.point = int64(len(d.whole))
		d.whole = strings.TrimRight(d.whole, "0")
	} else if d.point = int64(len(d.whole)); d.whole == "" {
		digits := strings.TrimLeft(d.fraction, "0")
		d.point = int64(len(digits) - len(d.fraction))
		d.fraction = digits
	}
	if d.whole == "" && d.fraction == "" {
		return decimal{}, nil
	}
	if power != "" {
		exponent, err := strconv.ParseInt(power, 10, 64)
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return decimal{}, errors.New("the exponent of a number is too large to compare or calculate with")
		}
		d.point += exponent
	}
	return d, nil
}

func (d decimal) length() int { return len(d.whole) + len(d.fraction) }

func (d decimal) sign() int {
	switch {
	case d.length() == 0:
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// compareDigits compares the digits of two numbers without joining their parts.
func (d decimal) compareDigits(other decimal) int {
	a, b := [2]string{d.whole, d.fraction}, [2]string{other.whole, other.fraction}
	for {
		if a[0] == "" {
			a = [2]string{a[1]}
		}
		if b[0] == "" {
			b = [2]string{b[1]}
		}
		n := min(len(a[0]), len(b[0]))
		if n == 0 {
			return cmp.Compare(len(a[0]), len(b[0]))
		}
		if order := strings.Compare(a[0][:n], b[0][:n]); order != 0 {
			return order
		}
		a[0], b[0] = a[0][n:], b[0][n:]
	}
}

// CompareNumbers compares two numbers exactly, whatever their length: 1, 1.0 and
// 10e-1 are equal, and so are 0 and -0.
func CompareNumbers(a, b json.Number) (int, error) {
	if a == b {
		return 0, nil
	}
	left, err := parseDecimal(a)
	if err != nil {
		return 0, err
	}
	right, err := parseDecimal(b)
	if err != nil {
		return 0, err
	}
	if order := cmp.Compare(left.sign(), right.sign()); order != 0 {
		return order, nil
	}
	order := cmp.Compare(left.point, right.point)
	if order == 0 {
		order = left.compareDigits(right)
	}
	return order * left.sign(), nil
}

// scaled returns the number as a multiple of 10^low, which is at most its last digit.
func (d decimal) scaled(low int64) *big.Int {
	zeros := d.point - int64(d.length()) - low
	n, _ := new(big.Int).SetString("0"+d.whole+d.fraction+strings.Repeat("0", int(zeros)), 10)
	if d.negative {
		n.Neg(n)
	}
	return n
}

// formatDecimal writes n × 10^low in plain digits where a person would.
func formatDecimal(n *big.Int, low int64) json.Number {
	digits, negative := strings.CutPrefix(n.String(), "-")
	point := low + int64(len(digits))
	digits = strings.TrimRight(digits, "0")
	size := int64(len(digits))
	var text string
	switch {
	case digits == "":
		return "0"
	case point > 21 || point < -5:
		text = digits[:1]
		if size > 1 {
			text += "." + digits[1:]
		}
		text += fmt.Sprintf("e%+03d", point-1)
	case point <= 0:
		text = "0." + strings.Repeat("0", int(-point)) + digits
	case point >= size:
		text = digits + strings.Repeat("0", int(point-size))
	default:
		text = digits[:point] + "." + digits[point:]
	}
	if negative {
		text = "-" + text
	}
	return json.Number(text)
}

var errTooManyDigits = fmt.Errorf("the result needs more than %d digits to be exact", maxDigits)

// total returns the sum of numbers as a multiple of 10^low.
func total(numbers []json.Number) (sum *big.Int, low int64, err error) {
	var (
		terms []decimal
		high  int64
	)
	for _, n := range numbers {
		d, err := parseDecimal(n)
		if err != nil {
			return nil, 0, err
		}
		if d.length() == 0 {
			continue
		}
		last := d.point - int64(d.length())
		if len(terms) == 0 {
			low, high = last, d.point
		}
		low, high = min(low, last), max(high, d.point)
		terms = append(terms, d)
	}
	if high-low > maxDigits {
		return nil, 0, errTooManyDigits
	}
	sum = new(big.Int)
	for _, d := range terms {
		sum.Add(sum, d.scaled(low))
	}
	return sum, low, nil
}

// Sum adds numbers exactly, or fails.
func Sum(numbers []json.Number) (json.Number, error) {
	sum, low, err := total(numbers)
	if err != nil {
		return "", err
	}
	return formatDecimal(sum, low), nil
}

// Mean returns the average of one number or more, and fails if no decimal number is
// exactly that.
func Mean(numbers []json.Number) (json.Number, error) {
	sum, low, err := total(numbers)
	if err != nil {
		return "", err
	}
	// A quotient that ends needs at most as many digits more as there are twos or
	// fives in the divisor, which is an int.
	const more = 64
	sum.Mul(sum, new(big.Int).Exp(big.NewInt(10), big.NewInt(more), nil))
	mean, rest := new(big.Int).QuoRem(sum, big.NewInt(int64(len(numbers))), new(big.Int))
	if rest.Sign() != 0 {
		return "", errors.New("the result has no end as a decimal number, and is not rounded")
	}
	return formatDecimal(mean, low-more), nil
}

// Whole rounds a number down, or up, to a whole one. One that is written as a whole
// number already keeps its digits.
func Whole(n json.Number, up bool) (json.Number, error) {
	if !strings.ContainsAny(string(n), ".eE") {
		return n, nil
	}
	d, err := parseDecimal(n)
	if err != nil {
		return "", err
	}
	length := int64(d.length())
	if d.point >= length && strings.IndexByte(string(n), '.') < 0 {
		return n, nil
	}
	if length > maxDigits || d.point > maxDigits {
		return "", errTooManyDigits
	}
	digits := d.whole + d.fraction
	if d.point >= length {
		return formatDecimal(d.scaled(0), 0), nil
	}
	whole, _ := new(big.Int).SetString("0"+digits[:max(d.point, 0)], 10)
	if up != d.negative && length > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	if d.negative {
		whole.Neg(whole)
	}
	return formatDecimal(whole, 0), nil
}

// Integer returns a number that is whole and fits 64 bits, however it is written.
func Integer(n json.Number) (int64, bool) {
	d, err := parseDecimal(n)
	if err != nil || d.point > 19 || d.point < int64(d.length()) {
		return 0, false
	}
	whole := d.scaled(0)
	return whole.Int64(), whole.IsInt64()
}
