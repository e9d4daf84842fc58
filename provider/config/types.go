package config

import "time"

// Config is the operator's configuration, which holds for every class. The zero
// Config is not valid; start from Default.
type Config struct {
	// Cluster is the name of this cluster in identities and in the scope of sealed
	// values. While it is empty, sealed values with a cluster in their scope are
	// refused.
	Cluster string `yaml:"cluster"`
	// Stores are the stores that classes may use by name without defining them.
	// A class cannot change what is set here.
	Stores map[string]Store `yaml:"stores"`
	// Policy says what classes and pods may do.
	Policy Policy `yaml:"policy"`
	// Dialects change what classes of other providers mean.
	Dialects Dialects `yaml:"dialects"`
	// Proxy is the HTTP proxy between the node and every store and key service. The
	// provider's environment has no say in it.
	Proxy Proxy `yaml:"proxy"`
	// Cache bounds the age and the memory of cached values.
	Cache Cache `yaml:"cache"`
	// Bounds limit the cost of one request, of one class and of all together.
	Bounds Bounds `yaml:"bounds"`
	// Audit is the trail of who read what and when. Without a file, stdout and a
	// webhook there is none.
	Audit Audit `yaml:"audit"`
	// Tracing sends spans of what is done, for OpenTelemetry. Without a URL there are none.
	Tracing Tracing `yaml:"tracing"`
}

// Tracing is where the spans of traces are sent, and of how much.
type Tracing struct {
	// URL is where spans are sent with POST as OTLP/HTTP with JSON, such as
	// https://collector.example.com:4318/v1/traces.
	URL string `yaml:"url"`
	// TokenFile is a file that only its owner may read, with a token that is sent as
	// Authorization: Bearer. It is read before each call.
	TokenFile string `yaml:"tokenFile"`
	// HeadersFile is a file that only its owner may read, with further headers of each call,
	// NAME: value on each line. It is read before each call.
	HeadersFile string `yaml:"headersFile"`
	// CACertFile is a file with the authorities that the service is trusted by. Without it
	// the system's are.
	CACertFile string `yaml:"caCertFile"`
	// ClientCertFile and ClientKeyFile are the certificate that the service trusts.
	ClientCertFile string `yaml:"clientCertFile"`
	// ClientKeyFile is the key of ClientCertFile.
	ClientKeyFile string `yaml:"clientKeyFile"`
	// SampleRatio is the share of mounts, of calls of the KMS plugin and of passes of the sync
	// controller that are traced, from 0 to 1. What a caller traces already follows the caller.
	SampleRatio float64 `yaml:"sampleRatio"`
	// Propagate sends stores and key services the trace's ID in the header traceparent.
	Propagate bool `yaml:"propagate"`
}

// On says that there are spans at all.
func (t Tracing) On() bool { return t.URL != "" }

// Audit is the trail of who read what and when: where records go, and what happens when
// one cannot be written.
type Audit struct {
	// File is a file that records are added to, one JSON object on each line.
	File AuditFile `yaml:"file"`
	// Stdout writes records to standard output, one JSON object on each line.
	Stdout bool `yaml:"stdout"`
	// Webhook is an HTTP service that records are sent to.
	Webhook AuditWebhook `yaml:"webhook"`
	// Required refuses what cannot be recorded: no record, no secret. It needs a file or
	// stdout, which a record has reached before the secret is given out. Else records
	// that cannot be written are counted as lost, and the secret is given out.
	Required bool `yaml:"required"`
	// ChainKeyFile is a file with a key of at least 32 random bytes that only its owner
	// may read. With it each record has a number, the hash of the record before it and a
	// hash of its own, which lanyard audit verify checks. It needs a file.
	ChainKeyFile string `yaml:"chainKeyFile"`
}

// AuditFile is a file of audit records. One process writes it.
type AuditFile struct {
	// Path is where the file is; its directory must exist.
	Path string `yaml:"path"`
	// MaxBytes is the size at which the file is rotated: it becomes PATH.1, PATH.1
	// becomes PATH.2, and so on.
	MaxBytes Size `yaml:"maxBytes"`
	// MaxFiles is how many files are kept, the one that is written among them. With 1 the
	// file is never rotated here: move it away and send SIGHUP.
	MaxFiles int `yaml:"maxFiles"`
	// Sync has records reach the disk and not only the operating system before they count
	// as written. It costs a write to the disk for each mount, shared by those at one time.
	Sync bool `yaml:"sync"`
}

// AuditWebhook is an HTTP service that audit records are sent to, many with one call.
type AuditWebhook struct {
	// URL is where records are sent with POST, https://HOST/PATH. With http:// everyone on
	// the way can read and change them.
	URL string `yaml:"url"`
	// Format is lines for one JSON object on each line (application/x-ndjson), or otlp for
	// logs of OpenTelemetry as OTLP/HTTP with JSON; its path is usually /v1/logs.
	Format string `yaml:"format"`
	// TokenFile is a file that only its owner may read, with a token that is sent as
	// Authorization: Bearer. It is read before each call.
	TokenFile string `yaml:"tokenFile"`
	// CACertFile is a file with the authorities that the service is trusted by. Without it
	// the system's are.
	CACertFile string `yaml:"caCertFile"`
	// ClientCertFile and ClientKeyFile are the certificate that the service trusts.
	ClientCertFile string `yaml:"clientCertFile"`
	// ClientKeyFile is the key of ClientCertFile.
	ClientKeyFile string `yaml:"clientKeyFile"`
}

// On says that there is a trail at all.
func (a Audit) On() bool { return a.File.Path != "" || a.Stdout || a.Webhook.URL != "" }

// Store is one named store.
type Store struct {
	// Type is the kind of store, such as vault or azure-key-vault.
	Type string `yaml:"type"`
	// Allow lists the service accounts whose pods may use the store, each as
	// "namespace/service-account", where "*" stands for any text within either
	// side. Empty allows all for stores that read as the pod, and is refused
	// for stores that read with the node's own credentials or files.
	Allow []string `yaml:"allow"`
	// Override lists the operator's settings of this store that a class may
	// replace: dotted names, each with the values allowed, where "*" stands for any
	// text without a slash. The value of the class then wins.
	Override map[string][]string `yaml:"override,omitempty"`
	// Ignore lists the settings, by their dotted names, that a class may give for
	// this store without effect, so that classes written for another provider work
	// unchanged.
	Ignore []string `yaml:"ignore,omitempty"`
	// Fields are the store type's own settings.
	Fields map[string]any `yaml:",inline"`
}

// Policy says what classes and pods may do.
type Policy struct {
	// ClassStores lets classes define stores of their own, which read with the
	// pod's identity. When false, classes may use only the stores above; a list of
	// addresses lets such stores call those alone. Addresses of the node itself and
	// of metadata services are reserved: only a list that names them allows them.
	ClassStores ClassStores `yaml:"classStores"`
	// TokenRequest lets the provider ask the API server for a pod's token if
	// the driver passed none for the audience. It needs the right to create
	// serviceaccounts/token.
	TokenRequest bool `yaml:"tokenRequest"`
	// ReadObjects lets the provider read two things from the API server where a
	// class does not set them: the cloud role or client in the annotations of a pod's
	// service account, and the region in the labels of its own node. It needs the right to
	// get serviceaccounts and nodes.
	ReadObjects bool `yaml:"readObjects"`
}

// Dialects are the settings of dialects, each of which is a flag of the provider whose
// dialect it is.
type Dialects struct {
	// Azure is for classes of provider azure.
	Azure AzureDialect `yaml:"azure"`
}

// AzureDialect is how classes of provider azure are read.
type AzureDialect struct {
	// SeparateCertAndKey makes two more files beside each file that holds the secret of a
	// certificate, NAME.crt with the chain and NAME.key with the private key, as
	// --write-cert-and-key-in-separate-files of that provider does.
	SeparateCertAndKey bool `yaml:"separateCertAndKey"`
}

// Proxy is an HTTP proxy that calls go through, with the method CONNECT. The node's
// own services and the API server are called directly.
type Proxy struct {
	// URL is the proxy's, http://HOST:PORT or https://HOST:PORT. Without it there is
	// no proxy.
	URL string `yaml:"url"`
	// CACertFile is a file with the authorities that a proxy of https:// is trusted
	// by. Without it the system's are.
	CACertFile string `yaml:"caCertFile"`
	// CredentialsFile is a file that only its owner may read, with USER:PASSWORD for
	// the proxy.
	CredentialsFile string `yaml:"credentialsFile"`
	// NoProxy lists what is called directly, with commas between: hosts, domains
	// with all below them, IP addresses, networks such as 10.0.0.0/8, each with or
	// without a port. Loopback addresses are always called directly.
	NoProxy string `yaml:"noProxy"`
}

// Cache bounds the age and the memory of cached values.
type Cache struct {
	// Refresh is the age at which a value is read again, unless the object or the
	// class sets another.
	Refresh time.Duration `yaml:"refresh"`
	// StartAge is the age up to which a pod that starts gets a value from memory. An
	// older one is read first, so that the pod starts with what its store holds now;
	// pods that start together share a read.
	StartAge time.Duration `yaml:"startAge"`
	// StaleOnError is how long past its refresh a value may be served while its
	// store is unavailable (stale-if-error). The cache keeps values for that long,
	// whether pods use them or not. Zero serves no stale value.
	StaleOnError time.Duration `yaml:"staleOnError"`
	// Idle is how long a value without polls is kept and its lease renewed;
	// staleOnError may keep the value for longer. Idle must be longer than the
	// driver's interval between two polls.
	Idle time.Duration `yaml:"idle"`
	// Bytes is the maximum memory of cached values and volumes.
	Bytes Size `yaml:"bytes"`
	// VersionKeySecret is the name of a Secret in the provider's own namespace: its
	// field key is the key of the versions of objects, which are hashes of what
	// their files hold. Serve makes the Secret if there is none. While the key is not
	// known, mounts fail.
	VersionKeySecret string `yaml:"versionKeySecret"`
	// VersionKeyFile is a file of at least 32 random bytes, the same on all nodes,
	// in place of that Secret. With neither, each start of the provider changes all
	// versions once, and nodes show different ones.
	VersionKeyFile string `yaml:"versionKeyFile"`
}

// MaxRequestBytes is the upper bound of Bounds.RequestBytes. The servers read
// messages of somewhat more, so that a larger one is refused with a reason.
const MaxRequestBytes = 16 << 20

// Bounds limit the cost of one request, of one class and of all together.
type Bounds struct {
	// RequestBytes is the maximum size of a mount request.
	RequestBytes Size `yaml:"requestBytes"`
	// ResponseBytes is the maximum size of a volume's files in total. The driver
	// accepts messages of 4 MiB.
	ResponseBytes Size `yaml:"responseBytes"`
	// Objects is the maximum number of objects of one class.
	Objects int `yaml:"objects"`
	// Mounts is the maximum number of mounts that read from stores at once; others
	// queue. Namespaces share it. A mount served from memory does not count.
	Mounts int `yaml:"mounts"`
	// Memory is what mounts in flight may take beside the cache: answers while they
	// are read, values, files and messages. Namespaces share it, each alone up to half.
	Memory Size `yaml:"memory"`
	// StoreCalls is the maximum number of concurrent calls to one store address.
	// Namespaces share it.
	StoreCalls int `yaml:"storeCalls"`
	// MountTimeout bounds one mount. The kubelet gives up after about two minutes,
	// and then no error text reaches the pod.
	MountTimeout time.Duration `yaml:"mountTimeout"`
	// ReadTimeout bounds one read, login and retries included.
	ReadTimeout time.Duration `yaml:"readTimeout"`
}

// Default is the configuration of an operator who sets nothing.
func Default() Config {
	return Config{
		Policy: Policy{ClassStores: AnyClassStore()},
		Cache: Cache{
			Refresh:      30 * time.Second,
			StartAge:     5 * time.Second,
			StaleOnError: 10 * time.Minute,
			Idle:         10 * time.Minute,
			Bytes:        24 << 20,
		},
		Bounds: Bounds{
			RequestBytes:  1 << 20,
			ResponseBytes: 4<<20 - 64<<10,
			Objects:       1000,
			Mounts:        256,
			Memory:        64 << 20,
			StoreCalls:    64,
			MountTimeout:  90 * time.Second,
			ReadTimeout:   30 * time.Second,
		},
		Audit:   DefaultAudit(),
		Tracing: DefaultTracing(),
	}
}

// The formats of AuditWebhook.
const (
	AuditLines = "lines"
	AuditOTLP  = "otlp"
)

// DefaultAudit is no trail.
func DefaultAudit() Audit {
	return Audit{File: AuditFile{MaxBytes: 100 << 20, MaxFiles: 10}, Webhook: AuditWebhook{Format: AuditLines}}
}

// DefaultTracing is none, and of everything once there is a URL.
func DefaultTracing() Tracing { return Tracing{SampleRatio: 1} }
