// Code generated from the comments in provider/config/types.go by make golden; DO NOT EDIT.

package config

var fields = []Field{
	{"cluster", "Cluster is the name that sealed values and identities carry for this cluster. Empty refuses sealed values that are bound to a cluster."},
	{"stores", "Stores are the stores that classes may use by name without defining them. What is set here no class can change."},
	{"stores.<name>.type", "Type is the kind of store, such as vault or azure-key-vault."},
	{"stores.<name>.allow", "Allow lists the service accounts whose pods may use the store, each as \"namespace/service-account\", where \"*\" stands for any text within either side. Empty allows all for stores that read as the pod, and is refused for stores that read with the node's own credentials or files."},
	{"stores.<name>.override", "Override lists the settings that a class may give for this store although they are not its own to say, each by its dotted name with the values that it may have, where \"*\" stands for any text without a slash. What the class gives then holds in place of what is set here."},
	{"stores.<name>.ignore", "Ignore lists the settings that a class may give for this store and that have no effect, by their dotted names, so that classes which were written for another provider work unchanged with what is set here."},
	{"stores.<name>.…", "Fields are the store type's own settings."},
	{"policy", "Policy says what classes and pods may do."},
	{"policy.classStores", "ClassStores lets classes define stores of their own, with which they read as the pod. When false, only the stores above may be used."},
	{"policy.tokenRequest", "TokenRequest lets the provider ask the API server for a pod's token if the driver passed none for the audience. It needs the right to create serviceaccounts/token."},
	{"policy.readObjects", "ReadObjects lets the provider read at the API server, for classes that do not say it themselves, the annotations with which pods' service accounts name a cloud's role and the label with which its own node names a region. It needs the right to get serviceaccounts and nodes."},
	{"cache", "Cache says how long values are kept and how many."},
	{"cache.refresh", "Refresh is how old a value may be before it is read again, where neither object nor class says otherwise."},
	{"cache.staleOnError", "StaleOnError is for how long after a value should have been read again it may still be served while its store is unavailable. It is kept for so long, whoever asks for it. Zero: not at all."},
	{"cache.idle", "Idle is for how long a value that no pod asks for is kept, where staleOnError does not keep it for longer, and its lease renewed. It must be longer than the driver takes between two polls."},
	{"cache.bytes", "Bytes is the most memory that cached values take."},
	{"cache.versionKeyFile", "VersionKeyFile is a file of at least 32 random bytes, the same on all nodes, that keys the versions of values whose store has none. Without it those versions change once whenever the provider starts."},
	{"bounds", "Bounds limit what one request, one class and all of them together cost."},
	{"bounds.requestBytes", "RequestBytes is the most that a mount request may hold."},
	{"bounds.responseBytes", "ResponseBytes is the most that a volume's files may hold together. The driver accepts messages of 4 MiB."},
	{"bounds.objects", "Objects is the most objects in one class."},
	{"bounds.mounts", "Mounts is the most mounts that wait for stores at once, half of them for one namespace; more wait their turn. What memory can answer needs none."},
	{"bounds.storeCalls", "StoreCalls is the most calls in flight at one store address."},
	{"bounds.mountTimeout", "MountTimeout is the longest that one mount may take. The kubelet gives up after about two minutes, and then no error text reaches the pod."},
	{"bounds.readTimeout", "ReadTimeout is the longest that one read may take, login and retries included."},
}
