// Package mount has the tests of a volume from end to end. The client is the
// Secrets Store CSI driver's own code: it finds the socket, retries, and writes
// the files. The provider is a `lanyard serve` process, built with the race
// detector. The store behind it is a real Vault, with a proxy between the two
// that counts requests and breaks them, and tokens that Vault itself verifies.
//
// There is nothing to import here. Start with fixture_test.go, which sets all
// of that up, and features_test.go, which shows what it is for.
package mount
