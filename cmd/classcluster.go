package cmd

import (
	"context"
	"fmt"
)

// classFromCluster reads the class of a name in the pod's namespace from the API server, as
// the pod's service account, or as a kubeconfig says. agent is who asks.
func classFromCluster(ctx context.Context, pod podFlags, name, agent string) (classManifest, error) {
	in, err := pod.read(classManifest{})
	if err != nil {
		return classManifest{}, err
	}
	cluster, err := openCluster("", "", agent)
	if err != nil {
		return classManifest{}, err
	}
	class, err := cluster.class(ctx, in.identity.Namespace, name)
	if err != nil {
		return classManifest{}, fmt.Errorf("%w; the pod's service account needs the right to get it, or give the class with --class-file", err)
	}
	return class, nil
}
