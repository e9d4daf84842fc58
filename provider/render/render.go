// Package render turns what a store holds into what a file holds: it decodes
// encodings and expands a JSON object into files. Its parts select a property
// (jmespath) and execute templates (template), over the JSON and within the Budget
// of this package.
//
// Everything here and there is a pure function without state, clock or I/O. Expressions
// and templates come from authors who are not trusted, and one provider serves
// a whole node, so each call is bounded in time and in memory whatever it is
// given, and passing a bound is an error that wraps ErrTooLarge. No error holds
// any part of a value: errors name keys, functions and places instead. Equal
// input gives equal output, so that an unchanged value keeps its version.
//
// Start with Decode, Expand, jmespath.Compile and template.Parse.
package render

import "errors"

var (
	// ErrNothing means that the value has nothing where a property or an
	// expansion looks. To an optional object it is the same as a missing secret.
	ErrNothing = errors.New("selects nothing")
	// ErrTooLarge means that a bound was passed: a result over MaxBytes, or
	// more work than one call may cause. Every other error of this package
	// means that the value does not fit what the class says about it.
	ErrTooLarge = errors.New("too large")
)

// MaxBytes is the maximum size of one result: the driver accepts no larger message.
const MaxBytes = 4 << 20
