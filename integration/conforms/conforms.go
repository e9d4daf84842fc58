// Package conforms has the test that Lanyard passes the conformance suite of
// CSI providers, integration/conformance, with each of its stores: a real
// Vault, files, sealed values, and the clouds' stores against servers that speak
// their protocols; and with the dialects of other providers. The provider is a `lanyard serve` process,
// built with the race detector.
//
// There is nothing to import here. Start with conforms_test.go; each store has
// a file that says how a value gets into it and a class asks for it.
package conforms
