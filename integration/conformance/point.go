package conformance

import (
	"context"
	"slices"
)

// Point is one promise of a provider to the driver.
type Point struct {
	// ID is a letter and a number, such as M-03. It stays with the promise for
	// ever.
	ID string
	// Promise is what must be so, in one sentence.
	Promise string
	// Source is where the driver relies on it.
	Source Source
	// Why is what happens to pods where it is not so.
	Why string
	// Optional points are about what not every provider has; see
	// Provider.Lacks.
	Optional bool

	needs []func(*Provider) string
	check func(context.Context, *session) error
}

// Source is a place in the module sigs.k8s.io/secrets-store-csi-driver, in the
// version Driver.
type Source struct {
	// File is relative to the module, Name a function, constant or message in
	// it.
	File, Name string
}

func (s Source) String() string { return s.File + ": " + s.Name }

// The places that most points rest on.
var (
	mountContent   = Source{"pkg/secrets-store/provider_client.go", "MountContent"}
	healthCheck    = Source{"pkg/secrets-store/provider_client.go", "HealthCheck"}
	clientGet      = Source{"pkg/secrets-store/provider_client.go", "Get"}
	serviceConfig  = Source{"pkg/secrets-store/provider_client.go", "ServiceConfig"}
	newBuilder     = Source{"pkg/secrets-store/provider_client.go", "NewPluginClientBuilder"}
	maxMessageSize = Source{"pkg/secrets-store/provider_client.go", "isMaxRecvMsgSizeError"}
	nodePublish    = Source{"pkg/secrets-store/nodeserver.go", "NodePublishVolume"}
	mountObjects   = Source{"pkg/secrets-store/nodeserver.go", "mountSecretsStoreObjectContent"}
	tokensOf       = Source{"pkg/secrets-store/nodeserver.go", "getServiceAccountTokens"}
	podStatus      = Source{"pkg/secrets-store/utils.go", "createOrUpdateSecretProviderClassPodStatus"}
	validate       = Source{"pkg/util/fileutil/writer.go", "Validate"}
	validatePath   = Source{"pkg/util/fileutil/atomic_writer.go", "validatePath"}
	writePayloads  = Source{"pkg/util/fileutil/writer.go", "WritePayloads"}
	pathsToRemove  = Source{"pkg/util/fileutil/atomic_writer.go", "pathsToRemove"}
	writeToDir     = Source{"pkg/util/fileutil/atomic_writer.go", "writePayloadToDir"}
	shouldWrite    = Source{"pkg/util/fileutil/atomic_writer.go", "shouldWritePayload"}
	protoVersion   = Source{"provider/v1alpha1/service.proto", "VersionResponse"}
	protoObject    = Source{"provider/v1alpha1/service.proto", "ObjectVersion"}
	protoRequest   = Source{"provider/v1alpha1/service.proto", "MountRequest"}
)

// Points are all points, in the order in which they are checked.
func Points() []Point {
	return slices.Concat(
		versionPoints(), socketPoints(), mountPoints(), requestPoints(), pathPoints(), sizePoints(),
		errorPoints(), garbagePoints(), rotationPoints(), identityPoints(), callPoints(), outagePoints(), processPoints(),
	)
}
