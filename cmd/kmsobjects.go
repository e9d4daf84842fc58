package cmd

import (
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

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
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`FILE` to reach the API server with; without it $KUBECONFIG, ~/.kube/config or the pod's own")
	flags.StringVar(&f.context, "context", "", "`NAME` of the kubeconfig's context, if not its current one")
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
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
	if err != nil {
		return migrate.Options{}, nil, usagef("no API server is known: %w; name a kubeconfig with --kubeconfig", err)
	}
	config.UserAgent = agent + "/" + thisBuild().Version
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
	data, err := readFileMost(f.encryption)
	if err != nil {
		return nil, unreadable(f.encryption, err)
	}
	var file struct {
		Kind      string `yaml:"kind"`
		Resources []struct {
			Resources []string `yaml:"resources"`
		} `yaml:"resources"`
	}
	// What the parser says may quote the file, which may hold keys.
	if err := yaml.Unmarshal(data, &file); err != nil || file.Kind != "EncryptionConfiguration" {
		return nil, usagef("%s: is not an EncryptionConfiguration", f.encryption)
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

// objects shows how far a run over objects is.
func (b *progressBar) objects(p migrate.Progress) { b.show(p.Resource, p.Done, p.Total) }
