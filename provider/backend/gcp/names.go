package gcp

import "strings"

// Only says that a text has from one to limit bytes, each of them in the set, in
// which a-z stands for a range as it does in a regular expression.
//
// Names are checked with it because expressions with counts as high as these,
// once compiled, take hundreds of kilobytes in every process, whether it uses
// Google or not.
func Only(text, set string, limit int) bool {
	if text == "" || len(text) > limit {
		return false
	}
	for i := range len(text) {
		if !inSet(text[i], set) {
			return false
		}
	}
	return true
}

func inSet(c byte, set string) bool {
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= c && c <= set[i+2] {
				return true
			}
			i += 2
		} else if set[i] == c {
			return true
		}
	}
	return false
}

// isAccount says whether a text can be a service account's e-mail address or
// unique ID, which are safe in the path of a URL.
// https://cloud.google.com/iam/docs/service-account-overview#identify-service-accounts
func isAccount(text string) bool {
	name, domain, isAddress := strings.Cut(text, "@")
	if !isAddress {
		return len(text) >= 5 && Only(text, "0-9", 30)
	}
	return Only(name, "a-z0-9-", 63) && name[0] != '-' && Only(domain, "a-z0-9.:-", 200) && inSet(domain[0], "a-z0-9")
}

// isFederated says whether a text names the provider of a workload identity pool.
// https://cloud.google.com/iam/docs/workload-identity-federation-with-kubernetes
func isFederated(audience string) bool {
	parts := strings.Split(audience, "/")
	if len(parts) != 11 {
		return false
	}
	for i, want := range []string{"", "", "iam.googleapis.com", "projects", "*", "locations", "global", "workloadIdentityPools", "*", "providers", "*"} {
		if want == "*" && parts[i] == "" || want != "*" && parts[i] != want {
			return false
		}
	}
	return true
}
