package csi

import "regexp"

// semantic is a version of https://semver.org/, with or without the v that Go
// and Kubernetes write before it.
var semantic = regexp.MustCompile(`^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

var notInBuilds = regexp.MustCompile(`[^0-9A-Za-z.-]+`)

// runtimeVersion is a build's version as the protocol wants it, which is a
// semantic one (service.proto, VersionResponse). A build between releases may
// be called (devel), or by its commit alone, which is then metadata.
func runtimeVersion(build string) string {
	if semantic.MatchString(build) {
		return build
	}
	name := notInBuilds.ReplaceAllString(build, "")
	if name == "" {
		return "v0.0.0-dev"
	}
	return "v0.0.0-dev+" + name
}
