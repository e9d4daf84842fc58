// Package remote is what every call to a store or key service passes through,
// whichever product is behind it: TLS, connections, the number of calls in flight,
// and the bounds of answers. It knows no product, no identity and no value.
//
// Start with Transports: HTTP and gRPC both come from a Transport. tls.go is the
// settings below tls, calls.go the slots of calls, body.go the bound of answers.
package remote
