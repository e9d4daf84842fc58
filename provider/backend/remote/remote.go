// Package remote is what every call to a store or key service passes through,
// whichever product is behind it: the certificate authorities that are trusted
// and the number of calls in flight. It knows no product, no identity and no
// value.
package remote
