package deployment

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

const (
	driverModule     = "sigs.k8s.io/secrets-store-csi-driver"
	driverChart      = "secrets-store-csi-driver"
	driverRepository = "https://kubernetes-sigs.github.io/secrets-store-csi-driver/charts"
)

// withDriver reads the chart and adds the driver's own chart to it, as a dependency that is off by default. It comes
// from the Go module of the driver that Lanyard is tested with, whose content go.sum pins, so that no registry of
// charts is asked. A dependency that Chart.yaml of a checkout named would have to lie beside it: Helm renders
// nothing while one is missing, whether it is used or not.
// https://github.com/helm/helm/blob/v3.19.5/pkg/action/install.go (CheckDependencies)
func withDriver() (*chart.Chart, error) {
	own, err := load()
	if err != nil {
		return nil, err
	}
	integration, err := checkout.Path("integration")
	if err != nil {
		return nil, err
	}
	download := exec.Command("go", "mod", "download", "-json", driverModule) //nolint:noctx // go.mod's own module
	download.Dir, download.Env = integration, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	answer, err := download.Output()
	if err != nil {
		return nil, fmt.Errorf("find the module %s: %w", driverModule, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(answer, &module); err != nil {
		return nil, err
	}
	driver, err := loader.LoadDir(filepath.Join(module.Dir, "charts", driverChart))
	if err != nil {
		return nil, err
	}
	own.Metadata.Dependencies = []*chart.Dependency{{
		Name: driverChart, Version: driver.Metadata.Version, Repository: driverRepository, Condition: driverChart + ".install",
	}}
	own.SetDependencies(driver)
	return own, nil
}

// Pack writes the chart with the driver's in it as an archive into a directory, and returns the archive's path.
func Pack(directory string) (string, error) {
	packed, err := withDriver()
	if err != nil {
		return "", err
	}
	return chartutil.Save(packed, directory)
}
