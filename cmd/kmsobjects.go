package cmd

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/server/kms/migrate"
)

// kmsObjectFlags are the flags of the commands that go over all encrypted
// objects of an API server.
type kmsObjectFlags struct {
	kubeconfig string
	context    string
	encryption string
	resources  []string
	rate       float64
	workers    int
	pageSize   int64
}

func (f *kmsObjectFlags) add(c *cobra.Command) {
	flags := c.Flags()
	addKubeconfig(flags, &f.kubeconfig, &f.context)
	flags.StringVar(&f.encryption, "encryption-config", "", "EncryptionConfiguration `FILE` whose resources are meant; its keys are not looked at")
	flags.StringSliceVar(&f.resources, "resources", []string{"secrets"}, "`RESOURCES` as in an EncryptionConfiguration: secrets, deployments.apps, *.apps, *.*")
	flags.Float64Var(&f.rate, "rate", 50, "the most `OBJECTS` in a second")
	flags.IntVar(&f.workers, "workers", 8, "the most `CALLS` in flight")
	flags.Int64Var(&f.pageSize, "page-size", 500, "`OBJECTS` to list at a time")
}

// check refuses flags that cannot work. named says that the resources were
// given.
func (f *kmsObjectFlags) check(named bool) error {
	switch {
	case f.encryption != "" && named:
		return usagef("--encryption-config and --resources both say which resources; give one of them")
	case f.rate <= 0 || f.rate > 10000:
		return usagef("--rate must be above 0 and at most 10000")
	case f.workers < 1 || f.workers > 128:
		return usagef("--workers must be from 1 to 128")
	case f.pageSize < 1 || f.pageSize > 10000:
		return usagef("--page-size must be from 1 to 10000")
	}
	return nil
}

// options are those of a run by what is called agent, with what they reach the
// API server by, as kubectl would.
func (f *kmsObjectFlags) options(agent string) (migrate.Options, *rest.Config, error) {
	config, err := apiServer(f.kubeconfig, f.context, agent)
	if err != nil {
		return migrate.Options{}, nil, err
	}
	// The rate is held by the run itself.
	config.QPS, config.Burst = -1, 0
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return migrate.Options{}, nil, usageError{err}
	}
	return migrate.Options{Client: client, Rate: f.rate, Workers: f.workers, PageSize: f.pageSize}, config, nil
}

// names are the resources that are meant.
func (f *kmsObjectFlags) names() ([]string, error) {
	if f.encryption == "" {
		return f.resources, nil
	}
	file, err := f.configuration()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, one := range file.Resources {
		names = append(names, one.Resources...)
	}
	if len(names) == 0 {
		return nil, usagef("%s: names no resources", f.encryption)
	}
	return names, nil
}

// otherPlugins are the KMS v2 providers that reach another plugin than the one
// with the name does. None are known without --encryption-config.
func (f *kmsObjectFlags) otherPlugins(name string) ([]string, error) {
	if f.encryption == "" {
		return nil, nil
	}
	file, err := f.configuration()
	if err != nil {
		return nil, err
	}
	sockets := map[string]string{}
	for _, one := range file.Resources {
		for _, provider := range one.Providers {
			if kms := provider.KMS; kms.APIVersion == "v2" {
				sockets[kms.Name] = socketOf(kms.Endpoint)
			}
		}
	}
	ours, ok := sockets[name]
	if !ok {
		return nil, usagef("%s: has no KMS v2 provider named %s; give its name with --name", f.encryption, name)
	}
	maps.DeleteFunc(sockets, func(_, socket string) bool { return socket == ours })
	return slices.Sorted(maps.Keys(sockets)), nil
}

// socketOf is the socket at which a provider's plugin is found, however its
// endpoint is spelled: unix:///run/a.sock is unix:////run//a.sock, and /var/run
// is /run.
func socketOf(endpoint string) string {
	path := strings.TrimPrefix(endpoint, "unix://")
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/@") {
		return endpoint // an abstract one, which is only what it is
	}
	path = filepath.Clean(path)
	if short, ok := strings.CutPrefix(path, "/var/run/"); ok {
		return "/run/" + short
	}
	return path
}

// encryptionFile is what is looked at of an EncryptionConfiguration.
type encryptionFile struct {
	Kind      string `yaml:"kind"`
	Resources []struct {
		Resources []string `yaml:"resources"`
		Providers []struct {
			KMS struct {
				APIVersion string `yaml:"apiVersion"`
				Name       string `yaml:"name"`
				Endpoint   string `yaml:"endpoint"`
			} `yaml:"kms"`
		} `yaml:"providers"`
	} `yaml:"resources"`
}

func (f *kmsObjectFlags) configuration() (encryptionFile, error) {
	var file encryptionFile
	data, err := readFile(f.encryption)
	if err != nil {
		return file, unreadable(f.encryption, err)
	}
	// What the parser says may quote the file, which may hold keys.
	if err := yaml.Unmarshal(data, &file); err != nil || file.Kind != "EncryptionConfiguration" {
		return file, usagef("%s: is not an EncryptionConfiguration", f.encryption)
	}
	return file, nil
}

// objects shows how far a run over objects is.
func (b *progressBar) objects(p migrate.Progress) { b.show(p.Resource, p.Done, p.Total) }
