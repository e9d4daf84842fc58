package config

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/internal/reload"
)

// NewWatcher returns what calls apply with each new configuration after that of
// file, which holds already. When apply returns an error, the configuration
// before is still the one that holds.
func NewWatcher(file *File, apply func(Config) error, registry prometheus.Registerer) *reload.Watcher {
	return reload.New(reload.File{
		Path: file.Path, Name: "configuration file", Metrics: "lanyard_config",
		Read: func() ([]byte, error) { return read(file.Path, file.from) },
		Apply: func(content []byte) error {
			changed, err := parse(file.Path, content)
			if err != nil {
				return err
			}
			if err := apply(changed.Config); err != nil {
				return changed.Explain(err)
			}
			return nil
		},
	}, file.data, registry)
}
