// Package gcp is what stores and key services in Google Cloud have in common:
// how a pod's identity becomes an access token, the connections, and how a call
// is bounded, repeated and told when it fails.
//
// A pod's service account token is exchanged for one of Google's, as Workload
// Identity Federation for GKE, for fleets and for other clusters has it, and a
// Google service account is impersonated where one is named. The node's own
// credentials are used only where the operator says so.
//
// It never reads GOOGLE_* or proxy variables of its environment, the gcloud
// configuration or well-known files; never lets one service account use
// another's access token; and never repeats a token in an error.
//
// Start with SignIn.With; a call is made by Call.
package gcp
