// Package driver has the tests in which the Secrets Store CSI driver's own
// client code calls Lanyard, and its own writer writes the files.
package driver

import (
	_ "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"
	_ "sigs.k8s.io/secrets-store-csi-driver/pkg/util/fileutil"
)
