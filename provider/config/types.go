package config

import "time"

// Config is the operator's: what every class obeys. The zero Config is not
// valid; start from DefaultConfig.
type Config struct {
	// Cluster is the name that sealed values and identities carry for this
	// cluster. Empty refuses sealed values that are bound to a cluster.
	Cluster string `yaml:"cluster"`
	// Stores are the stores that classes may use by name without defining
	// them. What is set here no class can change.
	Stores map[string]Store `yaml:"stores"`
	// Policy says what classes and pods may do.
	Policy Policy `yaml:"policy"`
	// Cache says how long values are kept and how many.
	Cache Cache `yaml:"cache"`
	// Bounds limit what one request, one class and all of them together cost.
	Bounds Bounds `yaml:"bounds"`
}

// StoreConfig is one named store.
type Store struct {
	// Type is the kind of store, such as vault or azure-key-vault.
	Type string `yaml:"type"`
	// Allow lists the service accounts whose pods may use the store, each as
	// "namespace/service-account", where "*" stands for any text within either
	// side. Empty allows all for stores that read as the pod, and is refused
	// for stores that read with the node's own credentials or files.
	Allow []string `yaml:"allow"`
	// Override lists the settings that a class may give for this store although
	// they are not its own to say, each by its dotted name with the values that
	// it may have, where "*" stands for any text without a slash. What the class
	// gives then holds in place of what is set here.
	Override map[string][]string `yaml:"override,omitempty"`
	// Ignore lists the settings that a class may give for this store and that
	// have no effect, by their dotted names, so that classes which were written
	// for another provider work unchanged with what is set here.
	Ignore []string `yaml:"ignore,omitempty"`
	// Fields are the store type's own settings.
	Fields map[string]any `yaml:",inline"`
}

// Policy says what classes and pods may do.
type Policy struct {
	// ClassStores lets classes define stores of their own, with which they
	// read as the pod. When false, only the stores above may be used.
	ClassStores bool `yaml:"classStores"`
	// TokenRequest lets the provider ask the API server for a pod's token if
	// the driver passed none for the audience. It needs the right to create
	// serviceaccounts/token.
	TokenRequest bool `yaml:"tokenRequest"`
	// ReadObjects lets the provider read at the API server, for classes that do
	// not say it themselves, the annotations with which pods' service accounts
	// name a cloud's role and the label with which its own node names a region.
	// It needs the right to get serviceaccounts and nodes.
	ReadObjects bool `yaml:"readObjects"`
}

// CacheConfig says how long values are kept in memory and how many.
type Cache struct {
	// Refresh is how old a value may be before it is read again, where neither
	// object nor class says otherwise.
	Refresh time.Duration `yaml:"refresh"`
	// StaleOnError is for how long after a value should have been read again
	// it may still be served while its store is unavailable. It is kept for so
	// long, whoever asks for it. Zero: not at all.
	StaleOnError time.Duration `yaml:"staleOnError"`
	// Idle is for how long a value that no pod asks for is kept, where
	// staleOnError does not keep it for longer, and its lease renewed. It must
	// be longer than the driver takes between two polls.
	Idle time.Duration `yaml:"idle"`
	// Bytes is the most memory that cached values take.
	Bytes Size `yaml:"bytes"`
	// VersionKeyFile is a file of at least 32 random bytes, the same on all
	// nodes, that keys the versions of values whose store has none. Without it
	// those versions change once whenever the provider starts.
	VersionKeyFile string `yaml:"versionKeyFile"`
}

// MaxRequestBytes is the highest that Bounds.RequestBytes may be set: front
// doors read messages of somewhat more than this, so that what is too large is
// refused with a reason.
const MaxRequestBytes = 16 << 20

// Bounds limit what one request, one class and all of them together cost.
type Bounds struct {
	// RequestBytes is the most that a mount request may hold.
	RequestBytes Size `yaml:"requestBytes"`
	// ResponseBytes is the most that a volume's files may hold together. The
	// driver accepts messages of 4 MiB.
	ResponseBytes Size `yaml:"responseBytes"`
	// Objects is the most objects in one class.
	Objects int `yaml:"objects"`
	// Mounts is the most mounts that wait for stores at once, half of them for
	// one namespace; more wait their turn. What memory can answer needs none.
	Mounts int `yaml:"mounts"`
	// StoreCalls is the most calls in flight at one store address.
	StoreCalls int `yaml:"storeCalls"`
	// MountTimeout is the longest that one mount may take. The kubelet gives
	// up after about two minutes, and then no error text reaches the pod.
	MountTimeout time.Duration `yaml:"mountTimeout"`
	// ReadTimeout is the longest that one read may take, login and retries
	// included.
	ReadTimeout time.Duration `yaml:"readTimeout"`
}

// DefaultConfig is what holds where the operator says nothing.
func Default() Config {
	return Config{
		Policy: Policy{ClassStores: true},
		Cache: Cache{
			Refresh:      2 * time.Minute,
			StaleOnError: 10 * time.Minute,
			Idle:         10 * time.Minute,
			Bytes:        24 << 20,
		},
		Bounds: Bounds{
			RequestBytes:  1 << 20,
			ResponseBytes: 4<<20 - 64<<10,
			Objects:       1000,
			Mounts:        256,
			StoreCalls:    64,
			MountTimeout:  90 * time.Second,
			ReadTimeout:   30 * time.Second,
		},
	}
}
